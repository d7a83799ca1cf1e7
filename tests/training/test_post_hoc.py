"""Fusion after the fact: the encoder is what it is alone, and the fusion is fitted to validation alone."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from hybrid_seq_gnn.training.post_hoc import PostHoc
from tests.commands import SMALL, fail, results, succeed


@pytest.mark.parametrize("alphas", [(), (0.5, 1.2), (-0.1,)])
def test_candidates_outside_the_unit_interval_are_refused(alphas):
    with pytest.raises(ValueError, match=r"training\.alphas="):
        PostHoc(alphas=alphas)


HYBRID = [*SMALL, "training=post_hoc", "training.epochs=3", "gnn=transitions"]
CHOSEN = [*HYBRID, "fusion.alpha=null"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The encoder alone, and a post hoc hybrid."""
    folder = tmp_path_factory.mktemp("post_hoc")
    succeed(*SMALL, "model=sasrec", "training.epochs=3", "hydra.run.dir=sasrec", cwd=folder)
    succeed(*CHOSEN, "training.encoders=null", "hydra.run.dir=hybrid", cwd=folder)
    return folder


def weights(folder):
    return torch.load(folder / "model.pt", weights_only=True)["model"]


def test_the_encoder_has_the_weights_that_it_has_alone_to_the_last_bit(alone):
    own, mixed = weights(alone / "sasrec"), weights(alone / "hybrid")
    for name, value in own.items():
        assert torch.equal(value, mixed[f"encoder.{name}"]), name
    one, other = results(alone / "sasrec"), results(alone / "hybrid")
    assert other["baseline"]["best_val_metric"] == one["best_val_metric"]
    lines = [(alone / name / "metrics.jsonl").read_text().splitlines() for name in ("sasrec", "hybrid/encoder")]
    losses = [[json.loads(line)["loss"] for line in some] for some in lines]
    assert losses[0] == losses[1]


def test_the_record_holds_both_stages_and_every_candidate(alone):
    found = results(alone / "hybrid")
    fusion = found["stages"]["fusion"]
    assert [c["alpha"] for c in fusion["candidates"]] == pytest.approx([k / 10 for k in range(11)])
    best = max(c["NDCG@10"] for c in fusion["candidates"])
    chosen = next(c for c in fusion["candidates"] if c["alpha"] == pytest.approx(fusion["values"][0]))
    assert chosen["NDCG@10"] == best
    assert found["best_val_metric"] == found["validation_metrics"]["NDCG@10"] == pytest.approx(best)
    assert fusion["candidates"][-1]["NDCG@10"] == pytest.approx(found["baseline"]["best_val_metric"])
    assert found["alpha_curve"]["alpha"] == pytest.approx([chosen["alpha"]] * 200)
    assert weights(alone / "hybrid")["fusion.values"].tolist() == fusion["values"]


def test_an_encoder_can_be_used_again_by_path_also_from_a_post_hoc_run(alone, tmp_path):
    for name in ("sasrec", "hybrid"):
        succeed(
            *CHOSEN, f"training.encoder_checkpoint={alone / name / 'model.pt'}", f"hydra.run.dir={name}", cwd=tmp_path
        )
        ours, theirs = results(tmp_path / name), results(alone / "hybrid")
        assert ours["test_metrics"] == theirs["test_metrics"]
        assert ours["stages"]["fusion"]["candidates"] == theirs["stages"]["fusion"]["candidates"]
        assert ours["stages"]["encoder"]["path"].endswith("model.pt")


def test_a_learned_fusion_is_ranked_at_all_weights_whatever_the_candidates_of_constants(alone, tmp_path):
    encoder = f"training.encoder_checkpoint={alone / 'sasrec' / 'model.pt'}"
    succeed(*HYBRID, encoder, "fusion=learnable", "training.alphas=[0.5]", "hydra.run.dir=run", cwd=tmp_path)
    found = results(tmp_path / "run")["stages"]["fusion"]["log_NDCG@10"]
    assert found["sequence"] != found["graph"] and found["after"] >= found["before"]


def test_what_is_held_out_for_test_has_no_part_in_the_fit(alone, tmp_path):
    """Other test items, same training and validation part: the same encoder and the same alpha."""
    rng = np.random.default_rng(0)
    rows = [[f"i{k}" for k in rng.permutation(30)[: rng.integers(5, 20)]] for _ in range(60)]
    fitted = []
    for name in ("one", "other"):
        table = [(f"u{u}", item, t) for u, row in enumerate(rows) for t, item in enumerate(row[:-1])]
        table += [(f"u{u}", row[-1], 99) for u, row in enumerate(rows)]  # last: items are numbered as they appear
        pd.DataFrame(table, columns=["user", "item", "timestamp"]).to_csv(tmp_path / f"{name}.csv", index=False)
        data = ["data=table", f"data.path={name}.csv", "data.user=user", "data.item=item", "data.timestamp=timestamp"]
        settings = [a for a in HYBRID if not a.startswith("data")]
        succeed(*data, *settings, "fusion=learnable", f"hydra.run.dir={name}", cwd=tmp_path)
        fitted.append(results(tmp_path / name))
        seen = [set(row[:-1]) for row in rows]
        pool = sorted({item for row in rows for item in row[:-1]})
        rows = [[*row[:-1], next(i for i in pool[u % 7 :] if i not in seen[u])] for u, row in enumerate(rows)]
    assert fitted[0]["alpha_curve"] == fitted[1]["alpha_curve"]
    assert fitted[0]["validation_metrics"] == fitted[1]["validation_metrics"]
    assert fitted[0]["test_metrics"] != fitted[1]["test_metrics"]


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(alone, tmp_path):
    code = (
        "import os; import hybrid_seq_gnn.training.post_hoc as p; p.collect = lambda *a, **k: os.kill(os.getpid(), 9);"
        "from hybrid_seq_gnn.app.cli import main; main()"
    )
    killed = subprocess.run([sys.executable, "-c", code, *CHOSEN, "hydra.run.dir=run"], cwd=tmp_path, check=False)
    assert killed.returncode == -9
    done = succeed(*CHOSEN, "hydra.run.dir=run", cwd=tmp_path)
    assert "the encoder alone: taken from" in done.stdout
    ours, theirs = results(tmp_path / "run"), results(alone / "hybrid")
    assert ours["test_metrics"] == theirs["test_metrics"]
    same = [{**found["stages"]["fusion"], "seconds": None} for found in (ours, theirs)]
    assert same[0] == same[1]


def test_an_alpha_that_is_given_is_kept_and_mixes_the_same_encoder(alone, tmp_path):
    encoder = f"training.encoder_checkpoint={alone / 'sasrec' / 'model.pt'}"
    tried = {round(c["alpha"], 1): c for c in results(alone / "hybrid")["stages"]["fusion"]["candidates"]}
    for mix in ("geometric", "linear"):
        succeed(*HYBRID, encoder, "fusion.alpha=0.3", f"fusion.mix={mix}", f"hydra.run.dir={mix}", cwd=tmp_path)
        found = results(tmp_path / mix)
        assert found["alpha_curve"]["alpha"] == pytest.approx([0.3] * 200)
        assert "fusion" not in found["stages"]
    assert results(tmp_path / "geometric")["best_val_metric"] == pytest.approx(tried[0.3]["NDCG@10"])
    succeed(*CHOSEN, encoder, "fusion.mix=linear", "hydra.run.dir=chosen", cwd=tmp_path)
    other = {round(c["alpha"], 1): c for c in results(tmp_path / "chosen")["stages"]["fusion"]["candidates"]}
    assert results(tmp_path / "linear")["best_val_metric"] == pytest.approx(other[0.3]["NDCG@10"])
    assert [other[k]["log_likelihood"] for k in (0, 1)] == pytest.approx([tried[k]["log_likelihood"] for k in (0, 1)])
    assert other[0.5]["log_likelihood"] != pytest.approx(tried[0.5]["log_likelihood"])


def test_only_a_post_hoc_training_chooses_an_alpha(tmp_path):
    joint = [*SMALL, "gnn=transitions", "training=joint"]
    assert "only training=post_hoc does" in fail(*joint, "fusion.alpha=null", cwd=tmp_path)
    assert "not with training.select=none" in fail(*CHOSEN, "training.select=none", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.encoder_checkpoint=nowhere.pt"], "no such file"),
        (["training.encoder_checkpoint=SASREC", "data.seed=1"], "different data or a different split"),
        (["training.encoder_checkpoint=SASREC", "data.split=leave_one_out", "data.min_item_events=20"], "different"),
        (["training.encoder_checkpoint=SASREC", "model.num_heads=2"], "model.num_heads=1; this run has num_heads=2"),
        (
            ["training.encoder_checkpoint=SASREC", "model.encoder=gru4rec"],
            "a different model; this run's encoder is GRU4Rec",
        ),
        (["training.encoder_checkpoint=JOINT"], "trained jointly"),
        (["training.encoder_checkpoint=UNMASKED"], "evaluation.mask_history=false; this run has mask_history=true"),
        (["training.encoder_checkpoint=REFIT"], "evaluation.refit=true; this run has refit=false"),
        (["training.encoder_checkpoint=results.json"], "cannot be read"),
        (["fusion.level=embedding"], "+experiment=study/embeddings"),
        (["gnn=lightgcn"], "or gnn=evidence"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_with_a_reason(arguments, message, alone, tmp_path):
    others = {
        "JOINT": ["gnn=transitions", "training=joint"],
        "UNMASKED": ["model=sasrec", "evaluation.mask_history=false", "loss=cross_entropy"],
        "REFIT": ["model=sasrec", "evaluation.refit=true"],
    }
    for name, settings in others.items():
        if f"training.encoder_checkpoint={name}" in arguments:
            succeed(*SMALL, *settings, f"hydra.run.dir={name}", cwd=tmp_path)
            arguments = [f"training.encoder_checkpoint={name}/model.pt"]
    (tmp_path / "results.json").write_text("{}")
    arguments = [a.replace("SASREC", str(alone / "sasrec" / "model.pt")) for a in arguments]
    assert message in fail(*HYBRID, *arguments, cwd=tmp_path)
