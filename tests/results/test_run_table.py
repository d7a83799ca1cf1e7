"""The sentence about a hybrid and its encoder says what the numbers say."""

import pytest

from hybrid_seq_gnn.results.run_table import answer


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
