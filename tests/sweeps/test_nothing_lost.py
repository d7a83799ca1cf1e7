"""What a sweep has lost it makes again, and what it cannot write does not end it."""

import errno
import logging

import optuna
import pandas as pd
import pytest

from hybrid_seq_gnn.files import write_text
from hybrid_seq_gnn.leaderboard import board
from hybrid_seq_gnn.report.studies import read
from hybrid_seq_gnn.study.optuna_private import begin
from hybrid_seq_gnn.study.queue import FAIL, WAITING, Slot, count, fill, numbered_as_begun, take
from tests.commands import results, succeed
from tests.sweeps.common import ONE, alphas, finished, trials

DAMAGE = {
    1: (lambda path: path.unlink(), "is missing"),
    2: (lambda path: path.write_text(""), "cannot be read as JSON"),
    3: (lambda path: path.write_text(path.read_text()[:500]), "cannot be read as JSON"),
    4: (lambda path: path.write_text('{"schema_version": 1}'), "is damaged"),
}


def test_finished_runs_without_sound_results_are_run_again(tmp_path):
    grid = [*ONE, "fusion.alpha=0.3,0.4,0.5,0.6,0.7"]
    succeed(*grid, cwd=tmp_path)
    files = [tmp_path / "sweep" / str(k) / "results.json" for k in range(5)]
    before = [results(path.parent)["grouped_metrics"] for path in files]
    untouched = files[0].stat().st_mtime_ns
    for k, (damage, _) in DAMAGE.items():
        damage(files[k])
    left = {k: files[k].read_bytes() for k in (2, 3, 4)}
    done = succeed(*grid, cwd=tmp_path)
    for k, (_, words) in DAMAGE.items():
        assert f"sweep/{k}/results.json {words}" in done.stdout
    assert "1 done, 4 to run" in done.stdout
    assert [results(path.parent)["grouped_metrics"] for path in files] == before
    assert files[0].stat().st_mtime_ns == untouched
    assert {k: files[k].with_name("results.json.damaged").read_bytes() for k in left} == left
    again = succeed(*grid, cwd=tmp_path)
    assert "5 done, 0 to run" in again.stdout
    assert "run again" not in again.stdout
    assert len(read(tmp_path / "sweep").trials("COMPLETE")) == 5  # in a report, each once


def test_a_search_runs_every_seed_that_it_lost_again_with_the_same_settings(tmp_path):
    search = [*ONE, "fusion.alpha=interval(0,1)", "study.n_trials=2", "seed=0,1,2"]
    succeed(*search, cwd=tmp_path)
    before = alphas(tmp_path)
    for name in ("1_seed0", "1_seed2"):
        (tmp_path / "sweep" / name / "results.json").write_text("")
    kept = (tmp_path / "sweep" / "1_seed1" / "results.json").stat().st_mtime_ns
    assert "1 done, 1 to run" in succeed(*search, cwd=tmp_path).stdout
    assert alphas(tmp_path) == before
    assert (tmp_path / "sweep" / "1_seed1" / "results.json").stat().st_mtime_ns == kept
    assert trials(tmp_path / "sweep")[1].value == trials(tmp_path / "sweep")[2].value


def test_a_grid_whose_settings_stand_in_another_order_goes_on_with_its_own_points(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,0.5", "gnn.num_layers=1,2", cwd=tmp_path)
    (tmp_path / "sweep" / "1" / "results.json").unlink()
    done = succeed(*ONE, "gnn.num_layers=1,2", "fusion.alpha=0.3,0.5", cwd=tmp_path)
    assert "3 done, 1 to run" in done.stdout
    points = [(c["fusion"]["alpha"], c["gnn"]["num_layers"]) for _, c in sorted(finished(tmp_path / "sweep").items())]
    assert points == [(0.3, 1), (0.3, 2), (0.5, 1), (0.5, 2)]


def test_the_points_of_a_grid_keep_their_numbers_before_they_are_run():
    slots = [Slot({"a": a, "b": b}, (0,)) for a in (1, 2) for b in (3, 4)]
    swapped = [slots[k] for k in (0, 2, 1, 3)]
    study = optuna.create_study()
    assert numbered_as_begun(study, swapped) == swapped
    fill(study, slots[:2], grace=60.0)  # killed while it filled the queue
    assert numbered_as_begun(study, swapped) == slots
    fill(study, slots, grace=60.0)
    assert numbered_as_begun(study, swapped) == slots


def test_a_search_with_fewer_trials_leaves_the_rest_to_those_who_want_more():
    study, slots = optuna.create_study(), [Slot({}, (0,))] * 4
    fill(study, slots, grace=60.0)
    study.tell(begin(study, study.trials[3]), state=FAIL)  # interrupted
    assert count(study)[WAITING] == 4
    assert count(study, 2)[WAITING] == count(study, 2).total() == 2
    for _ in range(2):
        study.tell(take(study, 2), 0.5)
    assert take(study, 2) is None
    assert not fill(study, slots[:2], grace=60.0)
    assert take(study, 4).user_attrs["slot"] == 2
    assert fill(study, slots, grace=60.0)
    assert take(study).user_attrs["slot"] == 3


def test_a_leaderboard_that_cannot_be_written_is_a_warning_and_the_sweep_ends_well(tmp_path):
    (tmp_path / "sweep" / "leaderboard.md").mkdir(parents=True)
    done = succeed(*ONE, "fusion.alpha=0.3,0.7", cwd=tmp_path)
    assert "cannot write sweep/leaderboard.md: is a directory" in done.stdout
    assert "written to sweep/leaderboard.csv" in done.stdout
    assert set(alphas(tmp_path).values()) == {0.3, 0.7}
    assert len(pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")) == 2
    assert "2 done, 0 to run" in succeed(*ONE, "fusion.alpha=0.3,0.7", cwd=tmp_path).stdout


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_leaderboard_is_named_with_the_reason(number, tmp_path, monkeypatch, caplog):
    def refuse(path, text):
        if path.suffix == ".csv":
            raise OSError(number, "No Room", str(path))
        write_text(path, text)

    monkeypatch.setattr(board, "write_text", refuse)
    with caplog.at_level(logging.WARNING):
        text = board.write([], tmp_path)
    assert f"cannot write {tmp_path}/leaderboard.csv: no room" in caplog.text
    assert text.endswith("leaderboard.md")
