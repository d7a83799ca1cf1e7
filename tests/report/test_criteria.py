import math

import pytest

from hybrid_seq_gnn.report.criteria import LEVELS, Criterion, check_one, criterion, read, settings_in_words
from hybrid_seq_gnn.report.facts import Facts, matches
from hybrid_seq_gnn.results.configurations import Configuration
from tests.conftest import ROOT

FILES = sorted((ROOT / "conf/criteria").glob("*.yaml"))


class Known(Configuration):
    """A configuration with HR@10 .10, or .12 if it is not the baseline; nobody has a long history."""

    def mean(self, metric):
        return None if metric.endswith("long") else {"base": 0.10, "new": 0.12}[self.name]

    @property
    def settings(self):
        hybrid = {"model": "hybrid", "fusion": "fixed", "fusion.alpha": 0.3}
        return {"model": "sasrec"} if self.name == "base" else hybrid


class Measured(Facts):
    """A baseline and a challenger with p = .01."""

    numbers = (0.02, 0.2, 0.01)

    def difference(self, *_):
        return self.numbers

    def users_in(self, group):
        return {"overall": 90, "short": 90}.get(group, 0)


def measured(baseline=True, **changes):
    base, new = Known("base", ()), Known("new", ())
    facts = Measured([], [base, new], base if baseline else None, "", {}, [])
    for name, value in changes.items():
        setattr(facts, name, value)
    return facts


def status(one, **changes):
    return check_one(Criterion(level="minimum", **one), measured(**changes)).status


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_file_of_ours_can_be_read(path):
    found = read(path)
    assert {one.level for one in found.criteria} == set(LEVELS)
    assert all(one.words for one in found.criteria)


def test_the_study_asks_for_what_was_written_down():
    found = read(ROOT / "conf/criteria/study.yaml").criteria
    above = [(one.level, one.group, one.above) for one in found if one.above is not None]
    assert sorted(above) == sorted(
        (level, group, value)
        for group, values in (("overall", (0.10, 0.105, 0.11)), ("short", (0.18, 0.20, 0.22)))
        for level, value in zip(LEVELS, values, strict=True)
    )
    assert all(one.metric == "HR@10" for one in found if one.above is not None)
    assert [one.group for one in found if one.users_at_least] == ["long"]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ({"metric": "HR@10", "above": 0.1199}, "met"),
        ({"metric": "HR@10", "above": 0.12}, "not met"),  # above is not at least
        ({"metric": "HR@10", "group": "long", "above": 0.0}, "not measured"),
        ({"metric": "HR@10", "difference_above": 0.019}, "met"),
        ({"metric": "HR@10", "difference_above": 0.02}, "not met"),
        ({"metric": "HR@10", "relative_above": 0.19}, "met"),
        ({"metric": "HR@10", "relative_above": 0.2}, "not met"),
        ({"metric": "HR@10", "p_below": 0.011}, "met"),
        ({"metric": "HR@10", "p_below": 0.01}, "not met"),
        ({"metric": "HR@10", "p_below": 0.05, "against": {"model": "ease"}}, "not measured"),
        ({"metric": "HR@10", "above": 0.1, "where": {"model": "ease"}}, "not measured"),
        ({"group": "short", "users_at_least": 90}, "met"),
        ({"group": "short", "users_at_least": 91}, "not met"),
        ({"group": "long", "users_at_least": 1}, "not met"),
        ({"tested": ({"model": "sasrec"}, {"fusion": ["discrete", "fixed"]})}, "met"),
        ({"tested": ({"model": "sasrec"}, {"fusion": "learnable"})}, "not met"),
        ({"metric": "HR@10", "above": 0.1, "p_below": 0.001}, "not met"),  # both must hold
    ],
)
def test_a_criterion_is_met_not_met_or_not_measured(one, expected):
    assert status(one) == expected


def test_a_worse_model_is_never_a_success_however_sure():
    one = {"metric": "HR@10", "p_below": 0.05}
    assert status(one, numbers=(-0.02, -0.2, 0.0001)) == "not met"
    assert status(one, numbers=(0.0, 0.0, 0.0001)) == "not met"


def test_what_cannot_be_compared_is_not_measured():
    relative = {"metric": "HR@10", "relative_above": 0.1}
    assert status(relative, baseline=False) == "not measured"
    assert status(relative, numbers=None) == "not measured"
    assert status(relative, numbers=(0.1, math.nan, math.nan)) == "not measured"
    assert status({"metric": "HR@10", "p_below": 0.1}, numbers=(0.1, 0.1, math.nan)) == "not measured"
    assert status({"metric": "HR@10", "above": 0.1}, challenger=lambda _: None) == "not measured"


def test_the_number_and_whose_it_is_are_said():
    verdict = check_one(Criterion(level="target", metric="HR@10", above=0.11), measured())
    assert verdict.found == "0.1200 (baseline 0.1000)" and verdict.of == "new"
    verdict = check_one(Criterion(level="target", tested=({"gnn": "none"}, {"model": "sasrec"})), measured())
    assert verdict.found == "1 of 2; not run: gnn=none"


def test_what_was_found_comes_in_the_order_of_the_words():
    one = Criterion("target", "HR@10", above=0.11, p_below=0.05, users_at_least=1, tested=({"model": "ease"},))
    assert one.words == (
        "HR@10 of all users > 0.11; HR@10 of all users above the baseline with p < 0.05; "
        "at least 1 test user: all users; tested: model=ease"
    )
    found = "0.1200 (baseline 0.1000); +0.0200, p = 0.01; 90 users; 0 of 1; not run: model=ease"
    assert check_one(one, measured()).found == found


def test_settings_are_in_the_words_of_the_command_line():
    assert settings_in_words({"model.tied": True, "graph.top_k": None, "fusion": ["fixed", False]}) == (
        "model.tied=true, graph.top_k=null, fusion=fixed|false"
    )


def test_settings_match_by_value_and_by_any_of_a_list():
    mine = {"fusion": "fixed", "fusion.alpha": 0.3, "graph.top_k": None}
    assert matches(mine, {}) and matches(mine, {"fusion.alpha": 0.3}) and matches(mine, {"fusion": ["fixed", "gated"]})
    assert matches(mine, {"graph.top_k": None})
    assert matches({"fusion.alpha": 1.0, "training.lr": 0.001}, {"fusion.alpha": 1, "training.lr": "1e-3"})
    assert matches({"training.amp": "off"}, {"training.amp": False})  # as YAML reads off
    assert not matches({"fusion.alpha": 1.0}, {"fusion.alpha": [0, 0.5]})
    assert not matches(mine, {"fusion": "fixe"}) and not matches(mine, {"gnn": "none"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"metric": "HR@10", "abov": 0.1}, "abov is not one of metric, group, above"),
        ({"metric": "HR@11", "above": 0.1}, "metric='HR@11' is not one of HR@5"),
        ({"metric": "HR@10", "above": "10 %"}, "above='10 %' is not a number"),
        ({"metric": "HR@10", "above": True}, "above=True is not a number"),
        ({"metric": "HR@10", "above": float("nan")}, "above=nan is not a number"),
        ({"metric": "HR@10", "group": "tiny", "above": 0.1}, "group='tiny' is not one of overall"),
        ({"above": 0.1}, "above needs a metric"),
        ({"metric": None, "above": 0.1}, "above needs a metric"),
        ({"metric": "HR@10"}, "asks for nothing"),
        ({"tested": {"fusion": "fixed"}}, "is not a list of settings"),
        ({"metric": "HR@10", "above": 0.1, "where": "hybrid"}, "is not settings like"),
        ("HR@10 > 0.1", "expected keys of metric"),
    ],
)
def test_a_bad_criterion_is_refused_with_its_place(entry, message):
    with pytest.raises(ValueError, match=r"^mine\.yaml, minimum, number 3") as refused:
        criterion(entry, "minimum", "mine.yaml, minimum, number 3")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minimum: [", "cannot be read as YAML"),
        ("- 1", "expected lists of criteria under minimum, target, stretch"),
        ("about: x", "expected lists of criteria"),
        ("minimum: 3", "minimum: expected a list of criteria, got 3"),
        ("minimum: [{metric: HR@10, above: 0.1}]\nmaximum: []", "maximum is not one of about, minimum"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        read(tmp_path / "c.yaml")
    assert message in str(refused.value) and "c.yaml" in str(refused.value)
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "nowhere.yaml")
