import json
import os
from argparse import Namespace

import pandas as pd
import pytest

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import checksum
from hybrid_seq_gnn.leaderboard import command as leaderboard
from hybrid_seq_gnn.report.facts import gather
from hybrid_seq_gnn.results.configurations import configurations
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import FinishedRun, require_comparable
from hybrid_seq_gnn.run.baseline import compare_with
from tests.damage import DEEP
from tests.results.folders import random_ranks, write_run


@pytest.fixture
def sweep(tmp_path):
    """Two seeds of three configurations, in folders as a sweep names them."""
    folder = tmp_path / "sweep"
    for seed in (0, 1):
        write_run(folder / f"0_seed{seed}", random_ranks(seed), seed=seed, model="sasrec")
        write_run(folder / f"1_seed{seed}", random_ranks(2 + seed), seed=seed, fusion__alpha=0.3)
        write_run(folder / f"10_seed{seed}", random_ranks(4 + seed), seed=seed, fusion__alpha=0.5)
    (folder / "leaderboard.csv").write_text("")
    return folder


def names(paths):
    return [configuration.name for configuration in configurations(load(paths).runs)[0]]


def test_seeds_are_one_configuration_and_names_are_short_and_in_order(sweep):
    found, notes = configurations(load([sweep]).runs)
    assert [one.name for one in found] == ["model=sasrec", "fusion.alpha=0.3", "fusion.alpha=0.5"]
    assert [one.seeds for one in found] == [(0, 1)] * 3
    assert notes == []


def test_runs_are_found_by_folder_glob_file_and_from_any_folder_above(sweep, tmp_path, monkeypatch):
    everything = names([sweep])
    assert (
        names([tmp_path]) == names([str(sweep / "*")]) == names([str(tmp_path / "**" / "results.json")]) == everything
    )
    assert [run.folder for run in load([sweep / "0_seed1"]).runs] == [sweep / "0_seed1"]
    assert len(load([sweep, sweep / "0_seed1", str(sweep / "0_*")]).runs) == 6  # each folder once
    monkeypatch.chdir(sweep)
    assert names(["."]) == everything


def test_a_configuration_knows_how_many_of_its_model_its_sweep_tried(sweep, tmp_path):
    assert [one.trials for one in configurations(load([sweep]).runs)[0]] == [1, 2, 2]
    alone = write_run(tmp_path / "elsewhere" / "run", random_ranks(0))
    assert configurations(load([alone]).runs)[0][0].trials == 1


def test_trials_that_were_pruned_count_and_those_that_failed_do_not(sweep):
    rows = ["status,folder", "done,0_seed0"]
    for number, (status, alpha) in enumerate((("pruned", 0.9), ("failed", 0.8), ("pruned", 0.3)), start=11):
        config = json.loads((sweep / "1_seed0/results.json").read_text())["config"]
        config["fusion"]["alpha"] = alpha  # 0.3 ran to its end with another seed
        (sweep / str(number)).mkdir()
        (sweep / str(number) / "config.yaml").write_text(json.dumps(config))
        rows.append(f"{status},{number}")
    (sweep / "14").mkdir()
    (sweep / "14/config.yaml").write_text("[half")
    (sweep / "leaderboard.csv").write_text("\n".join([*rows, "pruned,14", "pruned,15"]))
    assert [one.trials for one in configurations(load([sweep]).runs)[0]] == [1, 3, 3]


@pytest.mark.parametrize(
    "settings", [{"training__resume": False}, {"data__path": "elsewhere.zip"}, {"evaluation__batch_size": 7}]
)
def test_settings_that_change_no_number_make_no_other_configuration(settings, tmp_path):
    write_run(tmp_path / "0", random_ranks(0))
    write_run(tmp_path / "1", random_ranks(1), seed=1, **settings)
    assert len(configurations(load([tmp_path]).runs)[0]) == 1


def test_another_logger_makes_no_other_configuration(tmp_path):
    for seed, logger in enumerate(("none", "mlflow")):
        path = write_run(tmp_path / str(seed), random_ranks(seed), seed=seed) / "results.json"
        whole = json.loads(path.read_text())
        whole["options"]["logger"] = logger
        whole["config"]["logger"] = {"_target_": "x", "uri": logger}
        path.write_text(json.dumps(whole))
    assert len(configurations(load([tmp_path]).runs)[0]) == 1


def test_a_name_that_the_user_gave_is_taken(tmp_path):
    write_run(tmp_path / "0", random_ranks(0), name="base")
    write_run(tmp_path / "1", random_ranks(0), name="wide", model__dropout=0.5)
    assert names([tmp_path]) == ["base", "wide"]
    write_run(tmp_path / "2", random_ranks(0), name="wide", model__dropout=0.1)
    assert names([tmp_path]) == ["base", "wide (model.dropout=0.5)", "wide (model.dropout=0.1)"]


def test_the_newest_of_two_runs_with_the_same_seed_stays_and_that_is_said(tmp_path):
    new, old = write_run(tmp_path / "0", random_ranks(0)), write_run(tmp_path / "1", random_ranks(1))
    os.utime(old / "results.json", (1, 1))
    (found,), (note,) = configurations(load([tmp_path]).runs)
    assert [run.folder for run in found.runs] == [new]
    assert "same seed 0" in note and f"{new}, is used" in note


def test_an_unfinished_run_among_others_is_left_out_and_said_and_by_itself_an_error(sweep):
    (sweep / "1_seed0" / "results.json").unlink()
    found = load([sweep])
    assert len(found.runs) == 5
    assert len(found.left_out) == 1 and "1_seed0" in found.left_out[0] and "has not finished" in found.left_out[0]
    with pytest.raises(ValueError, match=r"1_seed0 has no results\.json"):
        load([sweep / "1_seed0"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 9}', '{"schema_version": 1}'])
def test_a_damaged_results_file_among_others_is_left_out_and_by_itself_an_error(text, sweep):
    (sweep / "1_seed0" / "results.json").write_text(text)
    assert "1_seed0" in load([sweep]).left_out[0]
    with pytest.raises(ValueError, match=r"1_seed0.results\.json"):
        load([sweep / "1_seed0"])


def test_a_results_file_that_lacks_anything_is_damaged(tmp_path):
    folder = write_run(tmp_path / "run", random_ranks(0))
    whole = json.loads((folder / "results.json").read_text())
    for key in ("config", "options", "seed", "grouped_metrics", "data", "best_val_metric"):
        (folder / "results.json").write_text(json.dumps({k: v for k, v in whole.items() if k != key}))
        with pytest.raises(ValueError, match=rf"results\.json is damaged: {key}=null: expected "):
            load([folder])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seconds", [], r"damaged: seconds=\[\]: expected a mapping"),
        ("seconds", {"total": "long"}, "damaged: seconds.total=long: expected a number"),
        ("best_epoch", "x", "damaged: best_epoch=x: expected a whole number"),
        ("best_epoch", 10**30, "no number that can be used"),
        ("best_val_metric", float("nan"), "NaN is no number"),
        ("options", {"model": ["sasrec"]}, r"damaged: options.model=\['sasrec'\]: expected text"),
        ("alpha_curve", {"length": [1]}, "damaged: alpha_curve.alpha=null: expected a list"),
        ("graph", DEEP, "nested too deeply"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_place(key, value, words, tmp_path):
    path = write_run(tmp_path / "run", random_ranks(0)) / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=words):
        load([tmp_path / "run"])


def test_where_there_is_no_run_that_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for path, words in (("empty", "holds no run"), ("file", "is a file"), ("nowhere", "no such folder")):
        with pytest.raises(ValueError, match=words):
            load([tmp_path / path])
    with pytest.raises(ValueError, match="no such folder"):
        load([str(tmp_path / "x*")])


def damage(folder, change):
    path = folder / "per_user.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame[1:], "users"),
        (lambda frame: frame.assign(rank=frame["rank"] + 1), "not of the same run"),
        (lambda frame: frame.assign(group="short"), "users"),
        (lambda frame: frame.drop(columns="rank"), "lacks the column rank"),
        (lambda frame: frame.assign(user=0), "a user twice"),
    ],
)
def test_per_user_rows_that_do_not_fit_results_are_refused(change, words, tmp_path):
    folder = write_run(tmp_path / "run", [1, 2, 3, 50, 5, 6, 7, 8])
    damage(folder, change)
    (run,) = load([folder]).runs
    with pytest.raises(ValueError, match=words):
        run.per_user  # noqa: B018


def test_ranks_that_changed_their_users_are_noticed_by_the_checksum(tmp_path):
    folder = write_run(tmp_path / "run", [1, 2, 3, 50, 5, 6, 7, 8])
    told = json.loads((folder / "results.json").read_text())
    told["sha256"] = {"per_user.parquet": checksum(folder / "per_user.parquet")}
    (folder / "results.json").write_text(json.dumps(told))
    assert len(load([folder]).runs[0].per_user) == 8
    damage(
        folder, lambda frame: frame.assign(rank=frame.groupby("group")["rank"].transform(lambda r: r.to_numpy()[::-1]))
    )
    with pytest.raises(ValueError, match=r"per_user\.parquet was changed after the run"):
        load([folder]).runs[0].per_user  # noqa: B018
    asked = Namespace(paths=[str(folder)], filter=[], sort="validation", csv=False)
    assert "per_user.parquet was changed after the run" in leaderboard.run(asked)
    assert any("was changed after the run" in note for note in gather([str(folder)], None, resamples=100).notes)
    with pytest.raises(ValueError, match=r"per_user\.parquet was changed after the run"):
        compare_with(folder, folder, seed=0)


def test_a_per_user_file_that_is_missing_or_damaged_is_named(tmp_path):
    folder = write_run(tmp_path / "run", random_ranks(0))
    (folder / "per_user.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=r"per_user\.parquet cannot be read"):
        load([folder]).runs[0].per_user  # noqa: B018
    (folder / "per_user.parquet").unlink()
    with pytest.raises(ValueError, match=r"has no per_user\.parquet"):
        load([folder]).runs[0].per_user  # noqa: B018


def test_other_data_or_another_evaluation_cannot_be_compared(tmp_path):
    write_run(tmp_path / "0", random_ranks(0))
    write_run(tmp_path / "1", random_ranks(0), split="b" * 64)
    write_run(tmp_path / "2", random_ranks(0), evaluation__mask_history=False)
    first, second, third = load([tmp_path]).runs
    with pytest.raises(ValueError, match=r"0 and .*1 cannot be compared.*aaaaaaaaaaaa.*bbbbbbbbbbbb"):
        require_comparable([first, second])
    with pytest.raises(ValueError, match=r"evaluation.mask_history is True in the first and False"):
        require_comparable([first, third])


def test_many_unfinished_runs_of_a_sweep_are_one_sentence(sweep):
    for name in ("1_seed0", "1_seed1", "10_seed0"):
        (sweep / name / "results.json").unlink()
    (line,) = load([sweep]).left_out
    assert line.startswith(f"{sweep}: 3 runs have no results.json: they were pruned")


def test_a_hybrid_counts_the_seconds_of_its_encoders_and_a_joint_one_its_own_alone(tmp_path):
    def seconds(**more):
        return FinishedRun(tmp_path, {"seconds": {"total": 12.3}} | more).seconds

    encoder = {"path": "a/model.pt", "others": ["b/model.pt"]}
    assert seconds(stages={"encoder": encoder}, baseline={"seconds": 100.0}) == pytest.approx(212.3)
    assert seconds(stages=None, baseline={"seconds": 100.0}) == pytest.approx(12.3)
    assert seconds(stages={"encoder": {**encoder, "others": []}}) == pytest.approx(12.3)


def test_the_validation_of_a_run_is_that_of_all_users(tmp_path):
    path = write_run(tmp_path / "run", random_ranks(0)) / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_val_metric": 0.7}))  # of a sample, in training
    assert load([tmp_path / "run"]).runs[0].validation == 0.1
