"""How the report says which configuration its answer is about."""

import inspect
from types import SimpleNamespace

import pytest

from hybrid_seq_gnn.report import sentences


@pytest.mark.parametrize(
    ("others", "tested", "words"),
    [
        (1, 1, "the only one besides the baseline"),
        (3, 3, "the best of 3 on validation"),
        (3, 1, "the best on validation of the 1 of 3 that could be tested"),
    ],
)
def test_it_counts_configurations_that_could_not_be_tested(others, tested, words):
    best = SimpleNamespace(name="hybrid", validation=0.5)
    facts = SimpleNamespace(others=[best] * others, tested=[best] * tested)
    how_chosen = inspect.unwrap(sentences.how_chosen)  # without the check of types
    assert words in how_chosen(facts, best)
