"""What is shown while workers are at a sweep."""

import io

import optuna

from hybrid_seq_gnn.study import progress
from hybrid_seq_gnn.study.queue import requeue
from hybrid_seq_gnn.study.settings import StudySettings


class Terminal(io.StringIO):
    def isatty(self):
        return True


def at_work(folder):
    """A study with one run that has ended, and one in its second epoch, the repeat with another seed."""
    study = optuna.create_study(direction="maximize")
    ended, running = study.ask(), study.ask()
    for slot, trial in enumerate((ended, running)):
        trial.set_user_attr("slot", slot)
    study.tell(ended, 0.25)
    running.set_user_attr("folders", ["1_seed0", "1_seed1", "1_seed2"])
    for name, epochs in (("1_seed0", 9), ("1_seed1", 2)):
        (folder / name).mkdir()
        lines = [
            f"2026-11-26 INFO loop: epoch {k:3d}  loss 4.2  validation NDCG@10 0.1\n" for k in range(1, epochs + 1)
        ]
        (folder / name / "train.log").write_text("".join(lines))
    return study


def test_the_last_epoch_of_each_run_at_work_is_known(tmp_path):
    assert list(progress.at_work(at_work(tmp_path), tmp_path)) == ["1_seed1: epoch 2"]
    (tmp_path / "1_seed1" / "train.log").write_text("model: 9 parameters on cpu\n")
    assert list(progress.at_work(optuna.create_study(), tmp_path)) == []


def test_a_terminal_shows_how_far_the_runs_are_and_a_file_does_not(tmp_path, monkeypatch):
    for console, words in ((Terminal(), ["1 of 2 done", "1_seed1: epoch 2"]), (io.StringIO(), [])):
        monkeypatch.setattr("sys.stderr", console)
        folder = tmp_path / str(len(words))
        folder.mkdir()
        with progress.Announcer(at_work(folder), StudySettings()).progress_bar(folder) as look:
            look()
        assert all(word in console.getvalue() for word in words)
        assert bool(console.getvalue()) == bool(words)


def test_trials_that_ended_together_are_counted_one_by_one(caplog):
    study = optuna.create_study(direction="maximize")
    told = progress.Announcer(study, StudySettings())
    for slot in range(3):
        trial = study.ask()
        trial.set_user_attr("slot", slot)
        study.tell(trial, 0.1 * slot)
    with caplog.at_level("INFO", logger=progress.__name__):
        told.log_ended()
    said = [record.getMessage() for record in caplog.records if record.name == progress.__name__]
    assert [line[:5] for line in said] == ["[1/3]", "[2/3]", "[3/3]"]


def test_a_trial_that_was_replaced_is_not_the_best():
    study = optuna.create_study(direction="maximize")
    told = progress.Announcer(study, StudySettings())
    for slot, value in ((0, 0.9), (1, 0.2)):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.set_user_attr("slot", slot)
        study.tell(trial, value)
    requeue(study, study.trials[0])
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 0.1)
    assert "best so far 0.2000" in told.line(study.trials[2])
