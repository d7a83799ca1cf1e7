"""Fusion after the fact: the encoder is what it is alone, and the fusion is fitted to validation alone."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from hybrid_seq_gnn.fusion.discrete import Discrete
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.fusion.gated import Gated
from hybrid_seq_gnn.fusion.learnable import Learnable
from hybrid_seq_gnn.training.fit import Evidence, choose, climb, likelihood_of, maximise
from hybrid_seq_gnn.training.settings import PostHocSettings
from tests.test_command_line import SMALL, fail, results, succeed

GRID = torch.linspace(0, 1, 11)


def evidence(users=400, seed=0, gains=None, alphas=GRID):
    rng = torch.Generator().manual_seed(seed)
    seq, graph = (torch.rand(users, generator=rng, dtype=torch.float64).log() for _ in range(2))
    length = torch.randint(1, 100, (users,), generator=rng)
    return Evidence(seq, graph, length, torch.zeros(users, 4), alphas, gains)


def slow_likelihood(seen, alpha, rows):
    p = [alpha * np.exp(seen.seq[u].item()) + (1 - alpha) * np.exp(seen.graph[u].item()) for u in rows]
    return float(np.mean(np.log(p)))


def test_the_best_alpha_of_a_grid_is_the_one_that_counting_finds():
    seen, fusion = evidence(), Fixed(alpha=0.05, level="score")
    found = choose(fusion, seen, "likelihood")
    slow = [slow_likelihood(seen, alpha, range(400)) for alpha in GRID.tolist()]
    assert fusion.values.tolist() == [GRID[int(np.argmax(slow))].item()]
    assert [c["log_likelihood"] for c in found["candidates"]] == pytest.approx(slow)
    assert [c["users"] for c in found["candidates"]] == [400] * 11


def test_each_bin_gets_the_alpha_that_its_own_users_want():
    gains = torch.zeros(400, 11)
    seen = evidence(gains=gains)
    for limit, best in ((10**9, 8), (50, 4), (10, 1)):
        gains[seen.length <= limit] = torch.eye(11)[best]
    fusion = Discrete(level="score")
    choose(fusion, seen, "ndcg")
    assert fusion.values.tolist() == pytest.approx([0.1, 0.4, 0.8])


def test_a_bin_without_users_keeps_its_alpha_and_of_equals_the_middle_one_wins():
    seen = evidence(gains=torch.ones(400, 11))
    seen.length.clamp_(max=40)
    fusion = Discrete(alpha_long=0.77, level="score")
    choose(fusion, seen, "ndcg")
    assert fusion.values.tolist() == pytest.approx([0.5, 0.5, 0.77])


def test_the_climb_ends_at_the_weight_of_each_bin_that_a_fine_grid_finds():
    seen, fusion = evidence(), Learnable(l2_weight=0.0, level="score")
    assert len(list(climb(fusion, seen, torch.arange(400)))) > 1
    for place, rows in enumerate((seen.length <= 10, (seen.length > 10) & (seen.length <= 50), seen.length > 50)):
        fine = np.linspace(0.1, 0.9, 41)
        slow = [slow_likelihood(seen, alpha, rows.nonzero()[:, 0].tolist()) for alpha in fine]
        assert fusion.bins()[place].item() == pytest.approx(fine[int(np.argmax(slow))], abs=0.02)


def test_users_who_are_left_out_say_when_to_stop():
    """Noise teaches nothing: a gate of hundreds of weights could learn 400 users by heart, and is stopped."""
    noise = evidence()
    noise.states.copy_(torch.randn(noise.states.shape, generator=torch.Generator().manual_seed(1)))
    kept, learned = Gated(4, level="score"), Gated(4, level="score")
    found = maximise(kept, noise)["log_likelihood"]
    for _ in climb(learned, noise, torch.arange(400)):
        pass
    by_heart = likelihood_of(learned, noise, torch.arange(400))
    assert found["before"] - 1e-9 <= found["cross_validated"]
    assert found["after"] < found["before"] + 0.5 * (by_heart - found["before"])
    assert found["sequence"] == pytest.approx(noise.seq.mean().item())


def test_a_heavy_penalty_holds_the_weights_where_they_were():
    fusion = Learnable(l2_weight=1e4, level="score")
    maximise(fusion, evidence())
    assert fusion.bins().tolist() == pytest.approx([0.4, 0.5, 0.6], abs=1e-3)


def test_a_side_that_is_never_right_breaks_nothing():
    seen = evidence()
    seen.graph.fill_(-torch.inf)
    fusion = Learnable(level="score", l2_weight=0.0)
    maximise(fusion, seen)
    assert fusion.bins().tolist() == pytest.approx([0.9] * 3, abs=1e-3)
    fixed = Fixed(level="score")
    assert choose(fixed, seen, "likelihood")["candidates"][0]["log_likelihood"] is None
    assert fixed.values.tolist() == [1.0]


@pytest.mark.parametrize("alphas", [(), (0.5, 1.2), (-0.1,)])
def test_candidates_outside_the_unit_interval_are_refused(alphas):
    with pytest.raises(ValueError, match=r"training\.alphas="):
        PostHocSettings(alphas=alphas)


HYBRID = [*SMALL, "training=post_hoc", "training.epochs=3", "gnn=transitions", "fusion.level=score"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The encoder alone, and a post hoc hybrid."""
    folder = tmp_path_factory.mktemp("post_hoc")
    succeed(*SMALL, "model=sasrec", "training.epochs=3", "hydra.run.dir=sasrec", cwd=folder)
    succeed(*HYBRID, "hydra.run.dir=hybrid", cwd=folder)
    return folder


def weights(folder):
    return torch.load(folder / "model.pt", weights_only=True)["model"]


def test_the_encoder_has_the_weights_that_it_has_alone_to_the_last_bit(alone):
    own, mixed = weights(alone / "sasrec"), weights(alone / "hybrid")
    for name, value in own.items():
        assert torch.equal(value, mixed[f"encoder.{name}"]), name
    one, other = results(alone / "sasrec"), results(alone / "hybrid")
    assert other["stages"]["encoder"]["best_val_metric"] == one["best_val_metric"]
    assert other["best_epoch"] == one["best_epoch"]
    lines = [(alone / name / "metrics.jsonl").read_text().splitlines() for name in ("sasrec", "hybrid")]
    losses = [[json.loads(line)["loss"] for line in some] for some in lines]
    assert losses[0] == losses[1]


def test_the_record_holds_both_stages_and_every_candidate(alone):
    found = results(alone / "hybrid")
    fusion = found["stages"]["fusion"]
    assert [c["alpha"] for c in fusion["candidates"]] == pytest.approx(GRID.tolist())
    best = max(c["NDCG@10"] for c in fusion["candidates"])
    chosen = next(c for c in fusion["candidates"] if c["alpha"] == pytest.approx(fusion["values"][0]))
    assert chosen["NDCG@10"] == best
    assert found["best_val_metric"] == found["validation_metrics"]["NDCG@10"] == pytest.approx(best)
    assert fusion["candidates"][-1]["NDCG@10"] == pytest.approx(found["stages"]["encoder"]["best_val_metric"])
    assert found["alpha_curve"]["alpha"] == pytest.approx([chosen["alpha"]] * 200)
    assert weights(alone / "hybrid")["fusion.values"].tolist() == fusion["values"]


def test_an_encoder_can_be_used_again_by_path_also_from_a_post_hoc_run(alone, tmp_path):
    for name in ("sasrec", "hybrid"):
        succeed(
            *HYBRID, f"training.encoder_checkpoint={alone / name / 'model.pt'}", f"hydra.run.dir={name}", cwd=tmp_path
        )
        ours, theirs = results(tmp_path / name), results(alone / "hybrid")
        assert ours["test_metrics"] == theirs["test_metrics"]
        assert ours["stages"]["fusion"]["candidates"] == theirs["stages"]["fusion"]["candidates"]
        assert ours["stages"]["encoder"]["path"].endswith("model.pt")


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
    killed = subprocess.run([sys.executable, "-c", code, *HYBRID, "hydra.run.dir=run"], cwd=tmp_path, check=False)
    assert killed.returncode == -9
    done = succeed(*HYBRID, "hydra.run.dir=run", cwd=tmp_path)
    assert "resumed after epoch 3" in done.stdout
    ours, theirs = results(tmp_path / "run"), results(alone / "hybrid")
    assert ours["test_metrics"] == theirs["test_metrics"]
    for stage in ("encoder", "fusion"):
        same = [{**found["stages"][stage], "seconds": None} for found in (ours, theirs)]
        assert same[0] == same[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.encoder_checkpoint=nowhere.pt"], "no such file"),
        (["training.encoder_checkpoint=SASREC", "data.seed=1"], "other data or another split"),
        (["training.encoder_checkpoint=SASREC", "data.split=leave_one_out", "data.min_item_events=20"], "other data"),
        (["training.encoder_checkpoint=SASREC", "model.num_heads=2"], "model.num_heads=1, here model.num_heads=2"),
        (
            ["training.encoder_checkpoint=SASREC", "model.encoder=gru4rec"],
            "another model than the encoder here, GRU4Rec",
        ),
        (["training.encoder_checkpoint=JOINT"], "trained jointly"),
        (["training.encoder_checkpoint=results.json"], "cannot be read"),
        (["fusion.level=embedding"], "set fusion.level=score"),
        (["gnn=lightgcn"], "use gnn=transitions"),
        (["model=sasrec"], "use model=hybrid"),
        (["fusion=learnable", "training.select=ndcg"], "fitted by likelihood"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_with_a_reason(arguments, message, alone, tmp_path):
    if "training.encoder_checkpoint=JOINT" in arguments:
        succeed(*SMALL, "gnn=transitions", "fusion.level=score", "hydra.run.dir=joint", cwd=tmp_path)
    (tmp_path / "results.json").write_text("{}")
    places = {"SASREC": alone / "sasrec" / "model.pt", "JOINT": "joint/model.pt"}
    for name, place in places.items():
        arguments = [a.replace(name, str(place)) for a in arguments]
    assert message in fail(*HYBRID, *arguments, cwd=tmp_path)
