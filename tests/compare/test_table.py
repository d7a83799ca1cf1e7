from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hybrid_seq_gnn.compare.command import sides
from hybrid_seq_gnn.compare.render import families
from hybrid_seq_gnn.compare.sentences import fewer_trials, findings, other_differences, other_seeds, tries, verdict
from hybrid_seq_gnn.compare.table import COLUMNS, compare
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.evaluation.significance import combined_p, holm
from hybrid_seq_gnn.results.configurations import configurations
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import require_comparable
from tests.results.folders import random_ranks, write_run

USERS = 300
LENGTHS = np.tile([4, 9, 20, 33, 47], USERS // 5)  # no long histories


def world(tmp_path, *, better=0.4, seeds=(0, 1), other_seeds=None):
    """A baseline and a challenger whose ranks are `better` times as high."""
    for seed in seeds:
        write_run(tmp_path / f"0_{seed}", random_ranks(seed, USERS), lengths=LENGTHS, seed=seed, model="sasrec")
    for seed in other_seeds or seeds:
        ranks = random_ranks(100 + seed, USERS, better)
        write_run(tmp_path / f"1_{seed}", ranks, lengths=LENGTHS, seed=seed)
    (base, *others), _ = configurations(load([tmp_path]).runs)
    return base, others


def said(frame, base, others, two_level=False):
    return "\n".join(findings(frame, base, others, alpha=0.05, two_level=two_level))


def test_a_row_says_what_its_columns_promise(tmp_path):
    base, others = world(tmp_path)
    frame = compare(base, others, ["NDCG@10", "HR@5"], ["overall", "short"], resamples=500)
    assert list(frame.columns) == list(COLUMNS)
    assert frame[["metric", "group"]].to_numpy().tolist() == [
        ["NDCG@10", "overall"],
        ["NDCG@10", "short"],
        ["HR@5", "overall"],
        ["HR@5", "short"],
    ]
    ranks = [
        [pd.read_parquet(tmp_path / f"{k}_{seed}" / "per_user.parquet")["rank"].to_numpy() for seed in (0, 1)]
        for k in (0, 1)
    ]
    by_seed = np.array([[per_user(one)["NDCG@10"] for one in each] for each in ranks])  # (configuration, seed, user)
    short = by_seed[:, :, LENGTHS <= 10]
    row = frame.iloc[1]
    assert row["users"] == 120 and row["seeds"] == 2 and row["baseline_seeds"] == 2
    assert row["baseline"] == pytest.approx(short[0].mean())
    assert row["mean"] == pytest.approx(short[1].mean())
    assert row["sd_over_seeds"] == pytest.approx(short[1].mean(axis=1).std(ddof=1))
    assert row["baseline_sd_over_seeds"] == pytest.approx(short[0].mean(axis=1).std(ddof=1))
    assert row["relative"] == pytest.approx(short[1].mean() / short[0].mean() - 1)
    assert row["p_t"] == pytest.approx(scipy.stats.ttest_rel(short[1].mean(axis=0), short[0].mean(axis=0)).pvalue)
    assert row["low"] < row["difference"] < row["high"]
    assert row["relative_low"] < row["relative"] < row["relative_high"]
    assert row["wins"] + row["ties"] + row["losses"] == 120


def test_users_are_matched_by_their_id_and_not_by_their_row(tmp_path):
    base, others = world(tmp_path)
    expected = compare(base, others, ["NDCG@10"], ["overall"], resamples=200)
    path = tmp_path / "1_0" / "per_user.parquet"
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path, index=False)
    (base, *others), _ = configurations(load([tmp_path]).runs)
    pd.testing.assert_frame_equal(compare(base, others, ["NDCG@10"], ["overall"], resamples=200), expected)


def test_each_family_is_corrected_for_itself_and_rows_without_a_test_count_nowhere(tmp_path):
    base, others = world(tmp_path, better=0.7)
    groups = ["overall", "short", "medium", "long"]  # no user is long
    frame = compare(base, others, ["NDCG@10", "HR@5", "MRR@20"], groups, resamples=500)
    assert frame["family"].tolist() == ["primary", *["by length"] * 3, *["exploratory"] * 8]
    p = combined_p(frame["p_t"].to_numpy(), frame["p_permutation"].to_numpy(), 500)
    corrected = frame["p_holm"].to_numpy()
    assert corrected[0] == pytest.approx(p[0])  # one configuration: one primary test, whatever else is looked at
    np.testing.assert_allclose(corrected[1:4], np.maximum(holm(p[1:4]), [p[0], p[0], np.nan]))
    np.testing.assert_allclose(corrected[4:], holm(p[4:]))
    alone = compare(base, others, ["NDCG@10"], ["short"], resamples=500)
    assert alone["p_holm"].tolist() == pytest.approx([max(p[:2])])  # all users open the gate, shown or not
    hidden = compare(base, others, ["NDCG@10", "HR@5", "MRR@20"], ["short"], resamples=500)
    np.testing.assert_allclose(hidden["p_holm"][1:], holm(p[[5, 9]]))  # and count nowhere else
    assert families(hidden) == "by length (NDCG@10; 1 test), exploratory (2 tests)"


def test_a_group_does_not_count_where_the_configuration_does_not_differ_overall(tmp_path):
    """Better for the short ones by as much as it is worse for the others."""
    for seed in (0, 1):
        base = random_ranks(seed, USERS)
        write_run(tmp_path / f"0_{seed}", base, lengths=LENGTHS, seed=seed, model="sasrec")
        moved = np.where(LENGTHS <= 10, np.maximum(base // 3, 1), base * 3)
        write_run(tmp_path / f"1_{seed}", moved, lengths=LENGTHS, seed=seed)
    (base, *others), _ = configurations(load([tmp_path]).runs)
    frame = compare(base, others, ["NDCG@10"], resamples=500)
    overall, short = frame.iloc[0], frame.iloc[1]
    assert overall["p_holm"] > 0.05 and not overall["significant"]
    assert short["p_t"] < 0.01 and short["p_holm"] == overall["p_holm"] and not short["significant"]


def test_a_group_without_users_is_a_gap_and_said(tmp_path):
    base, others = world(tmp_path)
    frame = compare(base, others, ["NDCG@10"], resamples=200)
    (row,) = frame[frame["group"] == "long"].to_dict("records")
    assert row["users"] == 0 and row["significant"] is None and verdict(row) == "no users"
    numbers = set(COLUMNS) - {"name", "metric", "group", "family", "users", "seeds", "baseline_seeds", "significant"}
    assert all(np.isnan(row[column]) for column in numbers - {"wins", "ties", "losses"})
    assert "long: no test user belongs to this group" in said(frame, base, others)


def test_a_better_model_is_called_better_and_the_swap_worse(tmp_path):
    base, (other,) = world(tmp_path)
    frame = compare(base, [other], ["NDCG@10"], ["overall"], resamples=500)
    assert [verdict(row) for row in frame.to_dict("records")] == ["better"]
    assert "significantly better than the baseline in NDCG@10 overall (+" in said(frame, base, [other])
    frame = compare(other, [base], ["NDCG@10"], ["overall"], resamples=500)
    assert [verdict(row) for row in frame.to_dict("records")] == ["worse"]
    assert "significantly worse than the baseline in NDCG@10 overall (-" in said(frame, other, [base])


def test_equal_models_are_not_significant_and_small_groups_are_named_with_what_they_could_show(tmp_path):
    base, others = world(tmp_path, better=1.0)
    frame = compare(base, others, ["NDCG@10"], ["overall", "short"], resamples=500)
    assert [verdict(row) for row in frame.to_dict("records")] == ["not significant"] * 2
    text = said(frame, base, others)
    assert "no significant difference from the baseline in anything that was tested" in text
    least = frame["minimum_detectable"][1]
    assert "short: 120 users are too few" in text and f"{least:.4f} in NDCG@10" in text
    assert f"({100 * least / frame['baseline'][1]:.0f} % of the baseline)" in text


def test_the_same_ranks_are_a_gap_and_said(tmp_path):
    for k, model in enumerate(("sasrec", "hybrid")):
        write_run(tmp_path / str(k), random_ranks(0, USERS), lengths=LENGTHS, model=model)
    (base, other), _ = configurations(load([tmp_path]).runs)
    frame = compare(base, [other], ["NDCG@10"], ["overall"], resamples=200)
    (row,) = frame.to_dict("records")
    assert row["difference"] == 0 and row["ties"] == USERS
    assert np.isnan(row["p_t"]) and np.isnan(row["low"]) and row["significant"] is None
    assert "all users have the same difference in NDCG@10 overall" in said(frame, base, [other])
    assert "--two-level had no seeds to draw" in said(frame, base, [other], two_level=True)


def test_other_seeds_than_those_of_the_baseline_are_said(tmp_path):
    base, (other,) = world(tmp_path)
    assert other_seeds(base, [other]) == []
    (line,) = other_seeds(base, [one := replace(other, name="one", runs=other.runs[1:])])
    assert line == "one (1): other seeds than the baseline (0, 1), so the difference is also one of seeds."
    assert line in said(compare(base, [one], ["NDCG@10"], ["overall"], resamples=20), base, [one])


def test_seeds_are_said_one_seed_too(tmp_path):
    base, others = world(tmp_path / "two")
    frame = compare(base, others, ["NDCG@10"], ["overall"], resamples=200)
    assert "2 seeds a configuration) were averaged per user before testing" in said(frame, base, others)
    assert frame["p_bootstrap"].isna().all()
    twice = compare(base, others, ["NDCG@10"], ["overall"], resamples=200, two_level=True)
    assert "both drawn again" in said(twice, base, others, two_level=True)
    assert (twice["p_holm"] == twice["p_bootstrap"]).all()
    assert (twice["high"] - twice["low"] > frame["high"] - frame["low"]).all()
    base, others = world(tmp_path / "one", seeds=(0,), other_seeds=(0, 1))
    frame = compare(base, others, ["NDCG@10"], ["overall"], resamples=200)
    assert "model=sasrec: one seed only" in said(frame, base, others)
    assert np.isnan(frame["baseline_sd_over_seeds"][0]) and frame["sd_over_seeds"][0] > 0


def test_fewer_trials_for_the_baseline_are_said(tmp_path):
    sweep = tmp_path / "sweep"
    for k in range(3):
        write_run(sweep / str(k), random_ranks(k, USERS), lengths=LENGTHS, fusion__alpha=k / 10)
    (sweep / "leaderboard.csv").write_text("")
    write_run(tmp_path / "base", random_ranks(9, USERS), lengths=LENGTHS, model="sasrec")
    (base, *others), _ = configurations(load([tmp_path / "base", sweep]).runs)
    frame = compare(base, others, ["NDCG@10"], ["overall"], resamples=200)
    assert "got fewer tuning trials than a challenger: 1 configuration of its model against 3 configurations" in said(
        frame, base, others
    )
    other = replace(base, name="tuned", trials=6)
    every = [base, other, *others]
    assert "1 configuration of its model against 6 configurations" in fewer_trials(base, [other], every)[0]
    assert tries(base, others[0], every) == 2 and tries(base, other, every) == 1  # of two, and one against the other
    fair = compare(others[0], [base], ["NDCG@10"], ["overall"], resamples=200)
    assert "fewer tuning trials" not in said(fair, others[0], [base])


def test_a_baseline_has_all_seeds_of_the_first_run(tmp_path):
    for seed in (0, 1, 2):
        write_run(tmp_path / f"base{seed}", random_ranks(seed), model="sasrec", seed=seed)
        write_run(tmp_path / f"other{seed}", random_ranks(seed + 3), seed=seed)
    runs = [str(tmp_path / name) for name in ("base1", "base0", "base2", "other0", "other1", "other2")]
    baseline, others, _ = sides(runs)
    assert baseline.seeds == (0, 1, 2) and [other.seeds for other in others] == [(0, 1, 2)]
    baseline, others, _ = sides([runs[3], *runs[:3]])
    assert baseline.seeds == (0,) and [other.seeds for other in others] == [(0, 1, 2)]
    baseline, others, _ = sides([f"{tmp_path}/../{tmp_path.name}/base1", *runs[1:]])  # the same folder, spelt otherwise
    assert baseline.seeds == (0, 1, 2)
    baseline, others, _ = sides(runs[:2])  # does another seed say the same?
    assert baseline.seeds == (1,) and [other.seeds for other in others] == [(0,)]
    write_run(tmp_path / "later" / "base2", random_ranks(6), model="sasrec", seed=2)  # of another version, say
    baseline, others, _ = sides([*runs[:2], str(tmp_path / "later")])
    assert baseline.seeds == (0, 1) and [other.seeds for other in others] == [(2,)]


def test_what_a_name_does_not_say_is_said(tmp_path):
    write_run(tmp_path / "0", random_ranks(0), name="base")
    write_run(tmp_path / "1", random_ranks(1), name="wide", model__dropout=0.5, training__lr=0.01)
    (base, *others), _ = configurations(load([tmp_path]).runs)
    text = said(compare(base, others, ["NDCG@10"], ["overall"], resamples=200), base, others)
    assert "wide: also differs from the baseline in model.dropout=0.5, training.lr=0.01." in text
    two = [*others, replace(others[0], name="broad")]
    (line,) = other_differences(base, two)
    assert line == "wide; broad: also differ from the baseline in model.dropout=0.5, training.lr=0.01."


def test_files_of_other_users_are_refused_though_their_hashes_agree(tmp_path):
    write_run(tmp_path / "0", random_ranks(0))
    write_run(tmp_path / "1", random_ranks(1), users=np.arange(8) + 1, model="sasrec")
    (base, *others), _ = configurations(load([tmp_path]).runs)
    with pytest.raises(ValueError, match=r"1.per_user\.parquet has another column user"):
        compare(base, others)


@pytest.mark.parametrize(("seeds", "share"), [((0, 1), True), ((0, 2), True), ((0, 3), False)])
def test_ensembles_that_share_encoders_are_no_repeats(seeds, share, tmp_path):
    for seed in seeds:
        write_run(tmp_path / f"0_{seed}", random_ranks(seed, USERS), lengths=LENGTHS, seed=seed, model="sasrec")
        ranks = random_ranks(100 + seed, USERS)
        write_run(tmp_path / f"1_{seed}", ranks, lengths=LENGTHS, seed=seed, model__members=3)
    (base, *others), _ = configurations(load([tmp_path]).runs)
    frame = compare(base, others, ["NDCG@10"], ["overall"], resamples=100, two_level=True)
    assert ("less than 3 apart share encoders" in said(frame, base, others, two_level=True)) == share


def test_an_unknown_metric_or_group_is_refused(tmp_path):
    base, others = world(tmp_path)
    with pytest.raises(ValueError, match="NDCG@7"):
        compare(base, others, ["NDCG@7"])
    with pytest.raises(ValueError, match="tall"):
        compare(base, others, ["NDCG@10"], ["tall"])


def test_many_configurations_can_be_found_with_few_resamples_of_seeds_and_users(tmp_path):
    base, others = world(tmp_path, better=0.2)
    frame = compare(base, others, ["NDCG@10"], ["overall"], resamples=20, two_level=True)
    assert frame["p_bootstrap"][0] < 1e-4  # no resample reaches 0; twenty alone would say .1


def test_runs_that_learned_the_validation_part_are_not_compared_with_those_that_did_not(tmp_path):
    for k, refit in enumerate(({}, {"evaluation__refit": False}, {"evaluation__refit": True})):
        write_run(tmp_path / str(k), random_ranks(k, USERS), lengths=LENGTHS, **refit)
    old, plain, refitted = load([tmp_path]).runs
    require_comparable([old, plain])
    with pytest.raises(ValueError, match=r"evaluation\.refit is False in the first and True"):
        require_comparable([plain, refitted])


def test_what_a_challenger_from_before_a_setting_does_not_say_is_said(tmp_path):
    write_run(tmp_path / "0", random_ranks(0, USERS), lengths=LENGTHS, model__init="cooccurrence", name="new")
    write_run(tmp_path / "1", random_ranks(1, USERS), lengths=LENGTHS, name="old")
    (new, old), _ = configurations(load([tmp_path]).runs)
    frame = compare(new, [old], ["NDCG@10"], ["overall"], resamples=100)
    text = said(frame, new, [old])
    assert "old: also differs from the baseline in that it does not say model.init=cooccurrence" in text
    assert "noise of training" not in text
