from hypothesis import given
from hypothesis import strategies as st

from hybrid_seq_gnn.errors import suggest
from hybrid_seq_gnn.results.labels import differing, p_value, short_names, words


def named(*settings):
    return short_names([None] * len(settings), settings, [str(k) for k in range(len(settings))])


def test_one_difference_is_one_setting():
    base = {"model": "hybrid", "fusion.alpha": 0.5, "gnn.num_layers": 3}
    ablation = [{**base, "fusion.alpha": 0.3}, {**base, "gnn.num_layers": 1}]
    assert named(base, *ablation)[1:] == ["fusion.alpha=0.3", "gnn.num_layers=1"]


def test_an_option_says_more_than_a_setting_that_comes_with_it():
    lightgcn = {"gnn": "lightgcn", "gnn.num_layers": 2}
    gat = {"gnn": "gat", "gnn.num_layers": 1, "graph.top_k": 20}
    assert named(lightgcn, gat, {**lightgcn, "gnn.num_layers": 3})[1:] == ["gnn=gat", "gnn.num_layers=3"]


def test_the_model_says_more_than_how_it_was_trained():
    runs = [{"training": "default", "model": "sasrec"}, {"training": "post_hoc", "model": "hybrid"}]
    assert named(*runs) == ["model=sasrec", "model=hybrid"]


def test_two_differences_that_only_together_tell_are_two_settings():
    grid = [{"a.x": x, "a.y": y} for x in (1, 2) for y in (1, 2)]
    assert named(*grid) == ["a.x=1, a.y=1", "a.x=1, a.y=2", "a.x=2, a.y=1", "a.x=2, a.y=2"]


def test_values_are_in_the_words_of_the_command_line():
    assert words([("a", None), ("b", True), ("c", 0.123456), ("d", [1, 2])]) == "a=null, b=true, c=0.1235, d=[1, 2]"


def test_numbers_that_are_equal_in_four_digits_are_told_apart():
    assert named({"a.x": 0.12341}, {"a.x": 0.12342}) == ["a.x=0.12341", "a.x=0.12342"]


def test_equal_settings_are_told_apart_by_where_they_are():
    assert short_names([None] * 2, [{"model": "sasrec"}] * 2, ["p/0", "q/0"]) == [
        "model=sasrec (p/0)",
        "model=sasrec (q/0)",
    ]
    assert short_names(["base"] * 2, [{"model": "sasrec"}] * 2, ["p", "q"]) == [
        "base (model=sasrec) (p)",
        "base (model=sasrec) (q)",
    ]


SETTINGS = st.fixed_dictionaries(
    {"model": st.sampled_from(["sasrec", "hybrid"])},
    optional={
        key: st.sampled_from([0.1, 0.5, None, True]) for key in ("fusion.alpha", "gnn.layers", "fusion", "loss.t")
    },
)


@given(st.lists(SETTINGS, min_size=1, max_size=6), st.data())
def test_names_are_unique_and_all_that_they_say_is_true(settings, data):
    given_names = data.draw(st.lists(st.sampled_from([None, "a", "b"]), min_size=len(settings), max_size=len(settings)))
    names = short_names(given_names, settings, [f"f{k}" for k in range(len(settings))])
    assert len(set(names)) == len(names)
    for own, name, mine in zip(given_names, names, settings, strict=True):
        if own is None:
            for pair in name.split(" (")[0].split(", "):
                assert pair in [words([each]) for each in mine.items()]
        else:
            assert name.startswith(own)


def test_settings_that_come_with_an_exchanged_option_are_no_difference_of_their_own():
    sasrec = {"model": "sasrec", "model.dropout": 0.3, "training.lr": 0.1}
    hybrid = {"model": "hybrid", "model.dropout": 0.3, "model.encoder": "gru", "fusion": "fixed", "fusion.alpha": 0.5}
    assert differing(sasrec, {**hybrid, "training.lr": 0.2}) == [
        ("model", "hybrid"),
        ("fusion", "fixed"),
        ("training.lr", 0.2),
    ]


def test_p_is_written_as_papers_print_it_and_what_is_unknown_is_a_dash():
    assert [p_value(p) for p in (0.00001, 0.0412, 1.0)] == ["< .001", ".041", "1"]
    assert [p_value(p) for p in (None, float("nan"))] == ["–", "–"]


def test_a_near_name_is_suggested_whatever_its_case():
    assert suggest("hr@10", ["HR@10", "NDCG@10"]) == "Did you mean HR@10? "
    assert suggest("xyz", ["HR@10"]) == ""
