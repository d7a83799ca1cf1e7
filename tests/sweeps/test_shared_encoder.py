"""A study of post hoc hybrids: one encoder, a baseline, and an answer."""

import pytest

from tests.commands import SMALL as WORLD
from tests.commands import results, succeed
from tests.run.test_encoders import stored, times_trained

SMALL = [*WORLD, "study.workers=1"]
SWEEP = [*SMALL, "fusion.alpha=0.3,0.6,0.9", "hydra.sweep.dir=sweep", "-m"]


def test_a_grid_over_alpha_trains_one_encoder_and_says_whether_any_is_better(tmp_path):
    said = succeed(*SWEEP, cwd=tmp_path).stdout
    (encoder,) = stored(tmp_path)
    assert times_trained(encoder) == 1
    assert {results(tmp_path / "sweep" / str(k))["baseline"]["folder"] for k in range(3)} == {
        str(encoder.relative_to(tmp_path))
    }
    board = (tmp_path / "sweep/leaderboard.md").read_text()
    for text in (said, board):
        assert "| baseline: model=sasrec |" in text
        assert "Best on validation is fusion.alpha=" in text
        assert text.count("than its encoder alone") + text.count("can be told") >= 1
    best = max((results(tmp_path / "sweep" / str(k)) for k in range(3)), key=lambda run: run["best_val_metric"])
    assert f"Best on validation is fusion.alpha={best['config']['fusion']['alpha']}" in board
    anew = succeed(*SWEEP, "study.fresh=true", cwd=tmp_path).stdout
    assert "0 done, 3 to run" in anew
    assert times_trained(encoder) == 1


def test_two_seeds_have_a_baseline_of_two_seeds(tmp_path):
    said = succeed(*SMALL, "fusion.alpha=0.3,0.6", "seed=0,1", "hydra.sweep.dir=sweep", "-m", cwd=tmp_path).stdout
    assert len(stored(tmp_path)) == 2
    (line,) = [line for line in said.splitlines() if line.startswith("| baseline: ")]
    assert line.split("|")[2].strip() == "2"


def test_a_study_without_a_baseline_gives_the_command_that_adds_one(tmp_path):
    joint = [*SMALL, "+experiment=study/embeddings", "fusion.alpha=0.3,0.6", "seed=0,1", "hydra.sweep.dir=sweep", "-m"]
    said = succeed(*joint, cwd=tmp_path).stdout
    assert "No baseline" in said
    (command,) = [line.strip() for line in said.splitlines() if line.startswith("    python -m hybrid_seq_gnn ")]
    assert command.endswith("seed=0,1 -m")
    succeed(*command.split()[3:], cwd=tmp_path)
    again = succeed(*joint, cwd=tmp_path).stdout
    assert "4 done, 0 to run" in again
    assert "| baseline: model=sasrec " in again


@pytest.mark.parametrize("fusion", ["learnable", "length_gate"])
def test_a_search_costs_its_encoder_once(fusion, tmp_path):
    start = {"learnable": "fusion.init_mid", "length_gate": "fusion.slope"}[fusion]
    search = [*SMALL, f"fusion={fusion}", f"{start}=interval(0.2,0.8)", "study.n_trials=2", "study.pruner=median"]
    said = succeed(*search, "hydra.sweep.dir=sweep", "-m", cwd=tmp_path).stdout
    assert times_trained(*stored(tmp_path)) == 1
    assert "Against the encoder alone" in said
