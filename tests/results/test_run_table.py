"""The sentence about a hybrid and its encoder says what the numbers say."""

import json

import pytest

from hybrid_seq_gnn.results.run_table import answer, run_table
from tests.results.folders import random_ranks, write_run


def row(relative, p, users=100):
    sure = {"low": relative - 0.01, "high": relative + 0.01} if p < 0.05 else {"low": -0.2, "high": 0.2}
    return {"users": users, "relative": relative, "difference": relative / 10, "p_holm": p, **sure}


@pytest.mark.parametrize(("relative", "word"), [(0.08, "better"), (-0.08, "worse")])
def test_it_is_better_or_worse_overall_and_for_those_of_whom_it_can_be_told(relative, word):
    rows = {"overall": row(relative, 0.001), "short": row(0.07, 0.02), "medium": row(0.01, 0.6), "long": row(0, 1, 0)}
    said = answer(rows, "The hybrid")
    assert said.startswith(f"The hybrid: {word} than its encoder alone, {100 * relative:+.1f} % NDCG@10")
    assert said.endswith("for short +7.0 %; for medium histories alone nothing can be told.")


def test_groups_of_whom_nothing_can_be_told_are_listed():
    rows = {"overall": row(0.08, 0.001), **dict.fromkeys(("short", "medium", "long"), row(0.01, 0.6))}
    assert answer(rows, "The hybrid").endswith("for short, medium and long histories alone nothing can be told.")


def test_without_significance_it_is_neither():
    said = answer({"overall": row(0.08, 0.2)}, "The hybrid")
    assert "no difference from its encoder alone can be told" in said
    assert "better" not in said


@pytest.mark.parametrize(("users", "why"), [(9, "all users have the same difference"), (1, "fewer than two users")])
def test_that_nothing_can_be_tested_is_said_with_the_reason(users, why):
    rows = {"overall": {"users": users, "relative": 0.0, "low": None, "high": None, "difference": 0.0, "p_holm": None}}
    assert answer(rows, "The hybrid") == (
        f"The hybrid: nothing can be tested against its encoder alone: {why} (+0.0 % NDCG@10)."
    )


def test_the_validation_metric_is_that_of_all_users_as_in_the_leaderboard(tmp_path):
    results = json.loads((write_run(tmp_path / "0", random_ranks(0)) / "results.json").read_text())
    results["best_val_metric"] = 0.9  # of a sample, with training.valid_users
    assert "validation NDCG@10 0.1000," in run_table(results)
