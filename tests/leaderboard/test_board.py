import json
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest

from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.leaderboard.against_encoders import Pair, called
from hybrid_seq_gnn.leaderboard.board import Entry, read_entries, show, table, write
from hybrid_seq_gnn.results.run_table import run_table
from hybrid_seq_gnn.results.runs import FinishedRun
from hybrid_seq_gnn.results.tables import markdown


def results(validation, test, alpha=None, model="hybrid", seed=0):
    parts = {"HR": 1, "NDCG": 2, "MRR": 3}
    metrics = {name: test / parts[name.partition("@")[0]] for name in NAMES}
    groups = {name: {**metrics, "count": 5} for name in ("short", "medium", "overall")}
    groups["long"] = {**dict.fromkeys(metrics), "count": 0}
    found = {
        "schema_version": 1,
        "options": {"model": model, "fusion": "fixed", "data": "synthetic"},
        "config": {
            "seed": seed,
            "debug": False,
            "data": {"_target_": "x", "users": 5},
            "model": {"_target_": "x", "dropout": 0.3},
            "fusion": {"alpha": alpha} if alpha is not None else None,
        },
        "seed": seed,
        "data": {"split_hash": "a" * 64, "users": 5, "items": 9, "events": 30},
        "grouped_metrics": groups,
        "validation_grouped_metrics": {
            "short": {"NDCG@10": 1 - validation},
            "medium": {"NDCG@10": validation},
            "long": {"NDCG@10": None},
            "overall": {"NDCG@10": validation},
        },
        "best_val_metric": validation,
        "best_epoch": 3,
        "seconds": {"total": 12.3},
    }
    if alpha is not None:
        found["alpha_stats"] = {name: {"mean": alpha} for name in ("short", "medium", "long", "overall")}
    return found


def done(folder, *args, **settings):
    return Entry(folder, FinishedRun(Path(folder), results(*args, **settings)))


def test_runs_are_ordered_by_validation_and_never_by_test():
    runs = [done("0", 0.1, 0.9, 0.3), done("1", 0.3, 0.1, 0.5), done("2", 0.2, 0.5, 0.7)]
    frame = table(runs)
    assert frame["folder"].tolist() == ["1", "2", "0"]
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["HR@10"].tolist() == [0.1, 0.5, 0.9]


def test_only_settings_that_differ_are_columns():
    frame = table([done("0", 0.1, 0.9, 0.3), done("1", 0.3, 0.1, 0.5)])
    assert frame.columns[1] == "fusion.alpha"
    assert not {"seed", "model", "model.dropout", "data.users"} & set(frame.columns)
    seeds = table([done("0", 0.1, 0.9, 0.3), done("1", 0.3, 0.1, 0.3, seed=1)])
    assert seeds.columns[1] == "seed"
    models = table([done("0", 0.1, 0.9, 0.3), done("1", 0.3, 0.1, model="sasrec")])
    assert models.columns[1] == "model"
    assert models["alpha"].isna().tolist() == [True, False]


def test_csv_keeps_every_digit_and_markdown_four(tmp_path):
    text = write([done("0", 0.123456789, 0.3, 0.3), done("1", 0.1, 0.1, 0.5)], tmp_path)
    frame = pd.read_csv(tmp_path / "leaderboard.csv")
    assert frame["validation NDCG@10"][0] == 0.123456789
    assert frame["NDCG@10/short"][0] == 0.15
    assert frame["NDCG@10/long"].isna().all()
    assert "0.1235" in text
    assert "0.12345" not in text
    assert text.partition("\n\nwritten to ")[0] in (tmp_path / "leaderboard.md").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"leaderboard.csv", "leaderboard.md"}


def test_several_objectives_are_named_whole_and_the_front_is_marked():
    entries = [done("0", 0.1, 0.2, 0.3), done("1", 0.3, 0.1, 0.5), done("2", 0.2, 0.1, 0.7)]
    objectives = ("NDCG@10", "NDCG@10/short")
    frame = table(entries, objectives)
    assert frame["front"].tolist() == ["yes", "yes", "yes"]  # what one wins, another loses
    assert "| validation NDCG@10 | validation NDCG@10/short | front |" in show(frame, objectives)


def test_of_repeats_the_mean_over_seeds_is_on_the_front_or_not():
    points = {0.2: [(0.9, 0.5), (0.1, 0.5)], 0.5: [(0.6, 0.6), (0.6, 0.6)], 0.8: [(0.5, 0.9), (0.5, 0.9)]}
    entries = []
    for alpha, seeds in points.items():
        for seed, (first, second) in enumerate(seeds):
            entries.append(one := done(f"{alpha}_{seed}", first, 0.2, alpha, seed=seed))
            one.run.results["validation_grouped_metrics"]["short"]["NDCG@10"] = second
    objectives = ("NDCG@10", "NDCG@10/short")
    frame = table(entries, objectives)
    assert dict(zip(frame["folder"], frame["front"], strict=True)) == {
        f"{alpha}_{seed}": "no" if alpha == 0.2 else "yes" for alpha in points for seed in (0, 1)
    }
    text = show(frame, objectives)
    assert "| front |" in text and text.count("|   yes |") + text.count("| yes   |") == 2


def test_small_settings_are_shown_as_they_were_typed():
    entries = [done("0", 0.1, 0.1, 0.3), done("1", 0.2, 0.1, 0.3)]
    for entry, lr in zip(entries, (1e-5, 0.001), strict=True):
        entry.run.results["config"]["training"] = {"lr": lr}
    text = show(table(entries))
    assert " 1e-05 |" in text and "0.0000" not in text
    assert "- short: training.lr=1e-05 (0.9000)" in text


def test_a_run_with_its_results_on_another_machine_is_ranked_with_the_others():
    elsewhere = Entry("2", None, "by host B", {"fusion.alpha": "0.7"}, "done", (0.15,))
    frame = table([done("0", 0.1, 0.1, 0.5), elsewhere, done("1", 0.3, 0.2, 0.5)])
    assert frame["folder"].tolist() == ["1", "2", "0"] and frame["rank"].tolist() == [1, 2, 3]
    assert frame["split"].nunique(dropna=False) == 1
    assert "different data" not in show(frame)


def test_a_failed_run_stands_at_the_end_with_its_error(tmp_path):
    text = write([Entry("0", None, "it broke", {"fusion.alpha": "9"}), done("1", 0.1, 0.1, 0.5)], tmp_path)
    frame = pd.read_csv(tmp_path / "leaderboard.csv")
    assert frame["status"].tolist() == ["done", "failed"]
    assert frame["rank"].tolist()[0] == 1 and pd.isna(frame["rank"][1])
    assert "it broke" in text


def test_a_failed_run_keeps_the_settings_that_no_other_run_varies(tmp_path):
    runs = [done(str(k), 0.1, 0.1, 0.3, seed=k) for k in range(2)]
    runs.append(Entry("2", None, "it broke", {"fusion.alpha": "1.7", "seed": "0"}))
    text = write(runs, tmp_path)
    assert "- 2 (seed=0, fusion.alpha=1.7): it broke" in text
    frame = pd.read_csv(tmp_path / "leaderboard.csv")
    assert frame["fusion.alpha"].tolist() == [0.3, 0.3, 1.7]


def test_the_best_setting_for_a_group_is_chosen_by_validation_and_never_by_test():
    runs = [done("0", 0.1, 0.2, 0.3), done("1", 0.3, 0.1, 0.5), done("2", 0.2, 0.9, 0.7)]
    assert show(table(runs)).splitlines()[-3:] == [
        "- all users: fusion.alpha=0.5 (0.3000)",
        "- short: fusion.alpha=0.3 (0.9000)",
        "- medium: fusion.alpha=0.5 (0.3000)",
    ]


def test_a_leaderboard_fits_a_terminal_of_140_columns():
    runs = [done(str(k), 0.1, 0.2, k / 10, seed=k) for k in range(12)]
    assert max(map(len, show(table(runs)).splitlines())) <= 140


def test_a_sweep_in_which_all_failed_still_has_a_leaderboard(tmp_path):
    assert "it broke" in write([Entry("0", None, "it broke", {"fusion.alpha": "9"})], tmp_path)


UNDEFINED = json.dumps(results(float("nan"), 0.2, 0.3))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 99}', '{"schema_version": 1}', UNDEFINED])
def test_a_broken_results_file_is_named_and_never_a_number(text, tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "results.json").write_text(text)
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "results.json").write_text(json.dumps(results(0.1, 0.2, 0.3)))
    broken, whole = read_entries(tmp_path)
    assert (broken.folder, broken.run) == ("3", None)
    assert str(tmp_path / "3" / "results.json") in broken.error
    assert whole.run.validation == 0.1


BELOW = "On validation the best hybrid, model=hybrid (0.3000), is below its encoder alone (0.4000). On test"
BEST = "Best on validation is model=hybrid"


@pytest.mark.parametrize(("encoder", "said"), [(0.2, BEST), (0.3, BEST), (0.4, BELOW)])
def test_a_hybrid_that_is_below_its_encoder_on_validation_is_not_called_the_best(encoder, said):
    pair = Pair(Mock(validation=0.3), Mock(validation=encoder), {})
    pair.hybrid.name = "model=hybrid"
    assert called(pair) == said


def test_a_table_is_markdown_and_lines_up():
    lines = markdown(["name", "x"], [["a|b", 0.5], ["c", None]]).splitlines()
    assert lines[1] == "|------|-------:|"
    assert lines[2] == r"| a\|b | 0.5000 |"
    assert lines[3] == "| c    |      – |"


def test_a_runs_table_shows_groups_and_alpha():
    text = run_table(results(0.1, 0.9, 0.3))
    assert "overall" in text and "mean alpha" in text
    assert "mean alpha" not in run_table(results(0.1, 0.9, model="sasrec"))


def test_runs_of_one_name_and_other_settings_are_no_repeats():
    runs = []
    for number, (name, lr, value) in enumerate([("A", 0.1, 0.1), ("A", 0.2, 0.3), ("B", 0.1, 0.2), ("B", 0.2, 0.4)]):
        one = results(value, 0.5)
        one["config"] |= {"name": name, "training": {"_target_": "x", "lr": lr}}
        runs.append(Entry(str(number), FinishedRun(Path(str(number)), one)))
    shown = show(table(runs))
    assert "±" not in shown
    assert shown.count("| A ") == shown.count("| B ") == 4  # overall and by length
    headers = [next(line for line in text.splitlines() if "rank" in line) for text in (shown, show(table(runs[::3])))]
    assert "training.lr" in headers[0]  # there the name does not say all
    assert "training.lr" not in headers[1] and "name" in headers[1]
