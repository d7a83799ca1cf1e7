from typing import Literal

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hybrid_seq_gnn.limits import conform
from hybrid_seq_gnn.run.build import build, checked, groups_in_use
from hybrid_seq_gnn.run.check import check_node
from tests.conftest import CONF

FIXED = {"_target_": "hybrid_seq_gnn.fusion.fixed.Fixed", "alpha": 0.5, "side": "both"}


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, 1.0),
        (100.0, int, 100),
        (7, str, "7"),
        (None, int | None, None),
        (3, int | None, 3),
        ("1e-3", str, "1e-3"),
        ("both", Literal["both", "input"], "both"),
        ([1, 2], list[float], [1.0, 2.0]),
        ([5, 10], tuple[int, ...], (5, 10)),
        (0.5, float | str, 0.5),
    ],
)
def test_a_value_takes_the_type_of_its_setting_where_nothing_is_lost(value, hint, expected):
    got = conform("x", value, hint)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("abc", float, "fusion.alpha=abc: expected a number"),
        (True, float, "fusion.alpha=True: expected a number"),
        (True, int, "expected a whole number"),
        (0.5, int, "fusion.alpha=0.5: expected a whole number"),
        (1, bool, "expected true or false"),
        (None, int, "fusion.alpha=null: expected a whole number"),
        ("x", int | None, "expected a whole number or null"),
        ("out", Literal["both", "input", "candidate"], "expected both, input or candidate"),
        (3, list[int], "expected a list"),
        (float("nan"), float, "fusion.alpha=nan: expected a number"),
    ],
)
def test_a_value_of_another_type_is_refused_in_the_words_of_the_command_line(value, hint, expected):
    with pytest.raises(ValueError, match=expected.replace("[", r"\[").replace("]", r"\]")):
        conform("fusion.alpha", value, hint)


def test_an_unknown_setting_is_named_with_what_it_may_have_meant():
    with pytest.raises(ValueError, match=r"fusion\.alhpa: there is no such setting\. Did you mean fusion\.alpha\?"):
        check_node("fusion", {**FIXED, "alhpa": 1})


@pytest.mark.parametrize("target", ["os.system", "hybrid_seq_gnn.nowhere.Thing", "hybrid_seq_gnn.fusion.fixed.nothing"])
def test_only_classes_of_this_package_are_built(target):
    with pytest.raises(ValueError, match=r"fusion\._target_="):
        check_node("fusion", {"_target_": target})


def test_build_gives_a_class_what_its_constructor_asks_for_and_no_more():
    fusion = build(check_node("fusion", {**FIXED, "alpha": 1}), num_items=3, gnn=None)
    assert fusion.values.tolist() == [1.0]


def config(model="hybrid", loss="cross_entropy"):
    target = {
        "hybrid": "hybrid_seq_gnn.model.hybrid.Hybrid",
        "sasrec": "hybrid_seq_gnn.model.sasrec.SASRec",
        "cross_entropy": "hybrid_seq_gnn.loss.cross_entropy.CrossEntropy",
        "bce": "hybrid_seq_gnn.loss.bce.BCE",
    }
    return {
        "model": {"_target_": target[model]},
        "loss": {"_target_": target[loss]},
        "fusion": FIXED,
        "gnn": {"_target_": "hybrid_seq_gnn.gnn.lightgcn.LightGCN"},
        "graph": {"_target_": "hybrid_seq_gnn.graph.cooccurrence.Cooccurrence"},
        "negatives": {"_target_": "hybrid_seq_gnn.negatives.uniform.Uniform"},
        "seed": 0,
        "debug": False,
    }


def test_groups_that_model_and_loss_do_not_ask_for_are_not_in_use():
    assert {"gnn", "fusion", "graph"} <= groups_in_use(config("hybrid"))
    assert not {"gnn", "fusion", "graph", "negatives"} & groups_in_use(config("sasrec"))
    assert "negatives" in groups_in_use(config("sasrec", "bce"))


def test_what_is_not_in_use_is_checked_and_then_left_out():
    whole = checked(config("sasrec"))
    assert whole["fusion"] is None
    with pytest.raises(ValueError, match=r"fusion\.x"):
        checked({**config("sasrec"), "fusion": {**FIXED, "x": 1}})


@pytest.mark.parametrize("setting", [{"seed": -1}, {"seed": 0.5}, {"debug": 1}, {"sede": 1}])
def test_the_top_level_is_checked_too(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        checked({**config(), **setting})


def test_every_experiment_is_a_configuration_whose_values_are_right():
    folder = CONF / "experiment"
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")]
    with initialize_config_dir(str(CONF)):
        for name in names:
            whole = checked(OmegaConf.to_container(compose("config", [f"+experiment={name}"])))
            assert whole["model"].get("encoder") == ("sasrec" if "Hybrid" in whole["model"]["_target_"] else None)


def test_a_class_that_asks_for_what_nobody_gives_is_named_with_what_there_is():
    node = {"_target_": "hybrid_seq_gnn.gnn.lightgcn.LightGCN"}
    with pytest.raises(ValueError, match=r"LightGCN asks for .*adjacency.*; the program can give it num_items"):
        build(node, num_items=3)
