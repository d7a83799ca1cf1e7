"""Every option of every group, through the command line: a run ends well and its record is complete."""

import pytest

from tests.commands import SMALL, results, succeed
from tests.conftest import options

TINY = [*SMALL, "training.epochs=1", "hydra.run.dir=run"]
STUDY = ["+experiment=study/embeddings"]
CASES = [
    *(
        [f"fusion={name}", f"fusion.level={level}", f"gnn={gnn}", "training=joint"]
        for name in options("fusion")
        for level, gnn in (("embedding", "lightgcn"), ("score", "transitions"))
    ),
    *([*STUDY, f"gnn={name}"] for name in options("gnn")),
    *([*STUDY, "gnn.edge_dropout=0.3", f"graph={name}"] for name in options("graph")),
    *([*STUDY, f"graph={name}"] for name in options("graph")),
    *([*STUDY, f"graph.weighting={name}"] for name in ("log", "cosine", "pmi")),
    *([f"model={name}"] for name in options("model")),
    *([f"loss={name}"] for name in options("loss")),
    *([*STUDY, f"loss={name}", "model.cosine=0.1", "fusion=learnable"] for name in options("loss")),
    [
        "model.cosine=0.1",
        "fusion.level=score",
        "gnn=lightgcn",
        "model.encoder=bert4rec",
        "training=two_stage",
        "training.graph_epochs=1",
    ],
    *([f"negatives={name}", "loss=sampled_softmax"] for name in options("negatives")),
    *([*STUDY, f"training={name}", "training.epochs=1"] for name in options("training") if name != "post_hoc"),
    ["training=quick"],
    *([f"fusion={name}", "fusion.mix=geometric", "gnn=evidence"] for name in options("fusion")),
    *([f"gnn.read={read}", "training=joint", "fusion.mix=geometric"] for read in ("both", "bayes", "rows")),
    ["fusion.alpha=null", "training.select=likelihood", "data.items=60"],
    ["fusion=discrete", "fusion.alpha_mid=null"],
    ["fusion=length_gate", "training.select=none"],
    ["fusion=length_gate", "training.select=likelihood"],
    ["model.encoder=gru4rec"],
    ["model.encoder=bert4rec"],
    [*STUDY, "model.encoder=bert4rec", "fusion=gated", "fusion.level=score"],
    ["model.encoder=bert4rec", "fusion=learnable", "gnn=transitions", "training=joint"],
    ["gnn=lightgcn", "training=joint"],
    ["training.amp=bf16", "gnn=transitions", "training=joint"],
    ["training.amp=bf16", "gnn=transitions", "training=joint", "fusion.mix=linear"],
    ["training.amp=bf16", "model=gru4rec"],
    [*STUDY, "training.amp=bf16", "gnn=sage", "gnn.residual=false"],
    ["data.split=leave_one_out", "data.k_core=5"],
]


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_it_ends_well(arguments, tmp_path):
    small = [a for a in TINY if not a.startswith("model.") or takes(arguments, a)]
    succeed(*small, *arguments, cwd=tmp_path)
    found = results(tmp_path / "run")
    for group in ("short", "medium", "long", "overall"):
        assert set(found["grouped_metrics"][group]) == {*found["test_metrics"], "count"}
    assert all(0 <= value <= 1 for value in found["test_metrics"].values())
    assert ("alpha_curve" in found) == ("alpha_stats" in found) == (found["config"]["fusion"] is not None)
    if "alpha_curve" in found:
        assert all(0 <= alpha <= 1 for alpha in found["alpha_curve"]["alpha"])
    assert (tmp_path / "run" / "model.pt").exists()


def takes(arguments, setting):
    """Whether the chosen model knows a setting of the small world."""
    model = next((a.partition("=")[2] for a in arguments if a.startswith("model=")), "hybrid")
    known = {"embedding_dim": ("popularity", "markov", "item_knn", "ease"), "num_blocks": ()}
    name = setting.split(".")[1].partition("=")[0]
    if name == "num_blocks":
        return model in ("hybrid", "sasrec", "bert4rec")
    return model not in known[name]
