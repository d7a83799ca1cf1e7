from hybrid_seq_gnn.report.sections.ablation import change, reference_of
from hybrid_seq_gnn.results.configurations import configurations
from hybrid_seq_gnn.results.load import load
from tests.results.folders import random_ranks, write_run

HYBRID = {
    "model": "hybrid",
    "gnn": "lightgcn",
    "gnn.num_layers": 2,
    "fusion": "fixed",
    "fusion.alpha": 0.5,
    "loss": "ce",
}


def test_an_exchanged_option_is_one_change_whatever_settings_come_with_it():
    other = {**HYBRID, "gnn": "gat", "gnn.heads": 4}
    del other["gnn.num_layers"]
    assert change(HYBRID, other) == [("gnn", "gat")]


def test_a_model_without_graph_and_fusion_is_one_change():
    assert change(HYBRID, {"model": "sasrec", "loss": "ce"}) == [("model", "sasrec")]
    assert change({"model": "sasrec", "loss": "ce"}, HYBRID) == [("model", "hybrid")]
    assert change(HYBRID, {"model": "sasrec", "loss": "bce"}) == [("model", "sasrec"), ("loss", "bce")]


def test_settings_that_differ_are_each_a_change():
    assert change(HYBRID, HYBRID) == []
    assert change(HYBRID, {**HYBRID, "fusion.alpha": 0.3}) == [("fusion.alpha", 0.3)]
    assert len(change(HYBRID, {**HYBRID, "fusion.alpha": 0.3, "gnn.num_layers": 3})) == 2


def found(tmp_path, *settings):
    for k, one in enumerate(settings):
        write_run(tmp_path / str(k), random_ranks(k), **one)
    return configurations(load([tmp_path]).runs)[0]


def test_the_reference_has_the_most_neighbours(tmp_path):
    base = {"model": "sasrec"}
    every = found(tmp_path, base, {"training__lr": 0.1}, {}, {"model__dropout": 0.0}, {"fusion__side": "input"})
    reference, changes = reference_of(every, every[0])
    assert reference is every[2]
    assert len(changes) == 3


def test_a_grid_over_alpha_is_no_ablation(tmp_path):
    every = found(tmp_path, {"model": "sasrec"}, *({"fusion__alpha": a / 10} for a in range(4)))
    assert reference_of(every, every[0]) is None
