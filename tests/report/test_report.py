import json
import shutil

import numpy as np
import pandas as pd
import pytest

from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.evaluation.metrics import METRICS
from hybrid_seq_gnn.report import sentences as answer
from hybrid_seq_gnn.report.facts import gather
from hybrid_seq_gnn.report.sections.by_group import group_labels
from hybrid_seq_gnn.results.labels import p_value
from tests.report.pages import RESAMPLES, error, report
from tests.report.study_folder import USERS
from tests.results.folders import random_ranks, write_run


def test_the_answer_comes_first_and_says_for_whom_and_how_sure(reported):
    _, page = reported
    assert "Yes: fusion.alpha=0.3 is better than the baseline model=sasrec, by" in page.text
    assert page.text.index("Yes: ") < page.text.index("Leaderboard")
    assert "Short histories (60 users): significantly better" in page.text
    assert "The baseline got fewer tuning trials than a challenger: 1 configuration of its model against" in page.text
    assert "Seeds: 2 of the baseline, 2 of fusion.alpha=0.3" in page.text


def test_every_number_of_the_tables_is_that_of_compare(study, reported):
    _, page = reported
    facts = gather([str(study)], None)
    frame = compare(facts.baseline, facts.others, resamples=int(RESAMPLES))
    shown = page.table("configuration", "group", "users", "seeds", "baseline", "mean")
    assert len(shown) == len(frame) == 5 * 3 * 4
    keys = ["metric", "name", "group"]
    expected = frame.sort_values(keys, key=lambda c: c.map({"NDCG@10": "0", "HR@10": "1", "MRR@10": "2"}).fillna(c))
    by_row = {(row[0], row[1], row[5], row[7]): row for row in shown}
    for row in expected.to_dict("records"):
        line = by_row[row["name"], row["group"], f"{row['mean']:.4f}", f"{row['difference']:+.4f}"]
        assert line[4] == f"{row['baseline']:.4f}"
        assert line[8] == f"{row['low']:+.4f} to {row['high']:+.4f}"
        assert line[13] == p_value(row["p_holm"])
        assert line[16] == f"{row['wins']}/{row['ties']}/{row['losses']}"
    board = {row[0]: row for row in page.table("configuration", "seeds", "validation NDCG@10", "NDCG@10")}
    assert list(board) == [one.name for one in facts.configurations]
    for row in frame[(frame["metric"] == "NDCG@10") & (frame["group"] == "overall")].to_dict("records"):
        line = board[row["name"]]
        assert line[3] == f"{row['mean']:.4f} ± {row['sd_over_seeds']:.4f}"
        assert line[4].startswith(f"{row['difference']:+.4f} (")
        assert line[6][0] == ("·" if not row["significant"] else "▲" if row["difference"] > 0 else "▼")


def test_a_metric_that_only_a_criterion_asks_for_is_corrected_like_the_others(study):
    facts = gather([str(study)], None)
    frame = compare(facts.baseline, facts.tested, (*METRICS, "NDCG@5"), resamples=facts.resamples)
    for row in frame[frame["metric"] == "NDCG@5"].to_dict("records"):
        found = facts.difference(facts.named(row["name"]), facts.baseline, "NDCG@5", row["group"])
        assert found == pytest.approx((row["difference"], row["relative"], row["p_holm"]), nan_ok=True)
    assert (frame["p_holm"] > frame["p_t"] + 1e-3).any()


def test_failed_and_pruned_trials_are_counted_and_the_journal_stays_as_it_is(study, reported):
    _, page = reported
    assert ["sweep", "", "10", "1", "1", "–", "–"] in page.table("sweep", "question")
    assert "trial 5 failed: the loss became nan <in epoch 2>" in page.text
    assert (study / "sweep/study.journal").read_text().endswith('{"op_code":5,"worker')


def test_a_baseline_can_be_named_by_setting_and_by_folder(study, tmp_path):
    by_setting = report(tmp_path / "a", study, "--baseline", "fusion.alpha=0.7", "--criteria", "none")
    assert "Yes: fusion.alpha=0.3 is better than the baseline fusion.alpha=0.7" in by_setting.text
    by_folder = report(tmp_path / "b", study / "sweep", "--baseline", study / "base", "--criteria", "none")
    assert "is better than the baseline model=sasrec" in by_folder.text
    assert "no run has that" in error(study, "--baseline", "model=ease")
    assert "no such folder" in error(study, "--baseline", "nonsense")


def test_without_a_baseline_nothing_is_compared_and_that_is_said(study, tmp_path):
    page = report(tmp_path / "r", study / "sweep")
    assert "There is no baseline, so nothing is compared." in page.text
    assert "none of the runs has model=sasrec" in page.text
    assert not page.table("configuration", "group")
    assert {row[6] for row in page.table("configuration", "seeds", "validation NDCG@10")} == {"not compared"}


def test_the_encoders_alone_that_hybrids_have_recorded_are_the_baseline(tmp_path):
    for seed in (0, 1):
        encoder, hybrid, rest = tmp_path / f"encoders/gru-{seed}", tmp_path / f"o/{seed}", {"lengths": np.full(60, 5)}
        write_run(encoder, random_ranks(seed, 60), seed=seed, model="gru4rec", **rest)
        write_run(hybrid, random_ranks(2 + seed, 60), seed=seed, model="hybrid", **rest)
        results = json.loads((hybrid / "results.json").read_text())
        nothing = dict.fromkeys(("baseline", "hybrid", "difference", "relative", "low", "high", "p_holm"))
        metrics = {"NDCG@10": {group: {"users": 0, **nothing} for group in ("overall", "short", "medium", "long")}}
        results["baseline"] = {"folder": f"encoders/gru-{seed}", "model": "gru4rec", "metrics": metrics}
        (hybrid / "results.json").write_text(json.dumps(results))
    page = report(tmp_path / "r", tmp_path / "o")
    assert "No difference can be shown between model=hybrid and the baseline model=gru4rec." in page.text
    shutil.rmtree(tmp_path / "encoders")
    assert "no encoder alone is where a run has recorded it" in report(tmp_path / "s", tmp_path / "o").text


def test_no_difference_is_not_called_one(tmp_path):
    for seed in (0, 1):
        for k, model in enumerate(("sasrec", "hybrid")):
            write_run(
                tmp_path / f"o/{k}_{seed}",
                random_ranks(2 * k + seed, 60),
                lengths=np.full(60, 5),
                seed=seed,
                model=model,
            )
    page = report(tmp_path / "r", tmp_path / "o")
    assert "No difference can be shown between model=hybrid and the baseline model=sasrec." in page.text
    assert "This is not significant: it may be chance." in page.text
    assert "leaves out 0" not in page.text
    assert "The group is too small to say anything: no less than a true difference of" in page.text
    assert "Long histories: no test user has one, so nothing is known about them." in page.text
    assert "Not here: medium, long: no test user belongs to these groups." in page.text


def test_an_interval_that_did_not_survive_the_correction_is_explained():
    row = {"significant": False, "users": 99, "mean": 0.2, "baseline": 0.1, "difference": 0.1, "relative": 1.0}
    row |= {"low": 0.01, "high": 0.2, "p_holm": 0.3, "group": "short", "minimum_detectable": 0.01, "metric": "NDCG@10"}
    for text in (answer.overall(row, 50), answer.for_whom(row)):
        assert "not significant" in text and "Its interval leaves out 0, but intervals are not corrected" in text
    for text in (answer.overall(row | {"low": -0.1}, 50), answer.for_whom(row | {"low": -0.1})):
        assert "leaves out 0" not in text


def test_one_seed_only_is_said(tmp_path):
    write_run(tmp_path / "o/0", random_ranks(0, 60), lengths=np.full(60, 5), model="sasrec")
    write_run(tmp_path / "o/1", random_ranks(1, 60, 0.2), lengths=np.full(60, 5))
    page = report(tmp_path / "r", tmp_path / "o")
    assert "One seed only: model=sasrec and model=hybrid." in page.text


def test_runs_of_another_split_are_left_out_and_said(study, tmp_path):
    other = tmp_path / "elsewhere/0"
    write_run(other, random_ranks(9, USERS, 0.01), lengths=np.full(USERS, 5), split="b" * 64, name="cheat")
    page = report(tmp_path / "r", study, other)
    assert "1 of 13 runs left out" in page.text and f"{other} cannot be compared: they have other data" in page.text
    assert not [row for row in page.table("configuration") if row[0] == "cheat"]


def test_runs_that_were_evaluated_otherwise_are_left_out_with_the_setting(tmp_path):
    for k, (model, masked) in enumerate((("sasrec", True), ("hybrid", True), ("hybrid", False))):
        write_run(tmp_path / f"o/{k}", random_ranks(k, 60), lengths=np.full(60, 5), model=model,
                  evaluation__mask_history=masked)  # fmt: skip
    page = report(tmp_path / "r", tmp_path / "o")
    assert "1 of 3 runs left out: " in page.text
    assert "cannot be compared: evaluation.mask_history is True in the first and False in the second." in page.text


def test_a_tuned_challenger_of_the_model_of_an_untuned_baseline_is_said(tmp_path):
    write_run(tmp_path / "plain", random_ranks(0, 60), lengths=np.full(60, 5), model="sasrec", training__lr=0.1)
    for k in range(3):
        run = tmp_path / f"sweep/{k}"
        write_run(run, random_ranks(k, 60, 0.2), lengths=np.full(60, 5), model="sasrec", training__lr=k / 100)
    (tmp_path / "sweep/leaderboard.csv").write_text("")
    page = report(tmp_path / "r", tmp_path / "sweep", "--baseline", tmp_path / "plain")
    assert "1 configuration of its model against 3 configurations. The best of many looks better" in page.text


def test_rankings_that_are_equal_are_said_to_be(tmp_path):
    for k, model in enumerate(("sasrec", "hybrid")):
        write_run(tmp_path / f"o/{k}", random_ranks(0, 60), lengths=np.full(60, 5), model=model)
    page = report(tmp_path / "r", tmp_path / "o")
    for place in ("cannot be tested against each other", "nothing can be tested", "(60 users): nothing can be tested"):
        assert f"{place}: all users have the same difference." in page.text


def test_one_of_a_kind_is_not_called_several(tmp_path):
    for k, model in enumerate(("sasrec", "hybrid")):
        write_run(tmp_path / f"o/{k}", random_ranks(k, 60), lengths=np.array([*[5] * 59, 90]), model=model)
    page = report(tmp_path / "r", tmp_path / "o/0", "--baseline", tmp_path / "o/0")
    assert "60 users, 1 configuration, 1 run; from" in page.text
    assert group_labels(gather([str(tmp_path / "o/0")], None))["long"].endswith("\n1 user")
    both = report(tmp_path / "s", tmp_path / "o")
    assert "Of 1 configuration compared with the baseline on NDCG@10 of all users: 0 significantly better" in both.text


def test_a_run_without_per_user_data_is_shown_and_never_compared(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    for seed in (0, 1):
        (tmp_path / f"o/sweep/0_seed{seed}/per_user.parquet").unlink()
    path = tmp_path / "o/sweep/1_seed0/per_user.parquet"
    pd.read_parquet(path).assign(rank=1).to_parquet(path, index=False)
    page = report(tmp_path / "r", tmp_path / "o")
    board = page.table("configuration", "seeds", "validation NDCG@10")
    assert [row[6] for row in board if row[0] == "fusion.alpha=0.3"] == ["not compared"]
    assert "fusion.alpha=0.3 has no place in any comparison between users" in page.text
    assert [row[1] for row in board if "fusion.alpha=0.5" in row[0]] == ["1"]
    assert "fusion.alpha=0.5: 1 of 2 seeds left out everywhere" in page.text


def test_a_half_written_run_among_others_is_said_and_alone_is_an_error(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    (tmp_path / "o/others/0_seed0/results.json").unlink()
    page = report(tmp_path / "r", tmp_path / "o")
    assert "others/0_seed0 has no results.json: the run has not finished." in page.text
    assert "has not finished" in error(tmp_path / "o/others/0_seed0", "--output", tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_other_seeds_than_those_of_the_baseline_are_said(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    shutil.rmtree(tmp_path / "o/base/1")
    assert "fusion.alpha=0.3 (0, 1): other seeds than the baseline (0)" in report(tmp_path / "r", tmp_path / "o").text


def test_missing_parts_are_marked_gaps(tmp_path):
    for k, model in enumerate(("sasrec", "hybrid")):
        write_run(tmp_path / f"o/{k}", random_ranks(k, 20), lengths=np.full(20, 5), model=model)
    told = json.loads((tmp_path / "o/1/results.json").read_text())
    told["alpha_curve"] = {"length": [1, 2], "alpha": [0.5]}  # of two lengths, one alpha
    (tmp_path / "o/1/results.json").write_text(json.dumps(told))
    (tmp_path / "o/0/metrics.jsonl").write_text('{"epoch": 1, "lo')
    (tmp_path / "o/study.journal").write_text("rubbish\n")
    page = report(tmp_path / "r", tmp_path / "o")
    for gap in (
        "metrics.jsonl cannot be read",
        "metrics.jsonl is not there",
        "an ablation needs a reference",
        "no run here mixes two sides",
        "fewer than two configurations differ in fusion.alpha alone",
        "study.journal holds no study",
        "no run here uses a graph",
        "the runs do not say which commands made them",
        "a curve over lengths needs the per-user data of 30 test users",
        "peak memory of the process, MiB (greatest over seeds): the runs do not say",
    ):
        assert gap in page.text, gap


def test_own_criteria_are_checked(study, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "minimum:\n- {metric: NDCG@10, relative_above: 0.05}\ntarget:\n- {metric: HR@20, group: long, above: 1}\n"
    )
    page = report(tmp_path / "r", study, "--criteria", path)
    status = [row[2] for row in page.table("level", "criterion")]
    assert status == ["✓ met", "✗ not met"]
    assert "There is gain, study, none; or give a path" in error(study, "--criteria", "studi")


def test_a_study_json_names_the_sweep_and_its_question(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    (tmp_path / "o/sweep/study.json").write_text(
        json.dumps(
            {
                "name": "sweep",
                "storage": None,
                "objective": ["HR@10"],
                "question": "Which alpha?",
                "sampler": "tpe",
                "space": {"gnn": "a,b"},
            }
        )
    )
    page = report(tmp_path / "r", tmp_path / "o")
    assert ["sweep", "Which alpha?", "10", "1", "1", "tpe", "–"] in page.table("sweep", "question")
    assert ["sweep", "gnn", "a,b"] in page.table("sweep", "setting", "tried")
    assert "validation HR@10 against each setting alone" in page.text
    (tmp_path / "o/sweep/study.json").write_text(json.dumps({"name": "sweep", "storage": "sqlite:///gone.db"}))
    assert "sqlite:///gone.db is not there" in report(tmp_path / "r", tmp_path / "o").text
