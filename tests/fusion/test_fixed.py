import pytest
import torch

from hybrid_seq_gnn.fusion.discrete import Discrete
from hybrid_seq_gnn.fusion.fixed import Fixed


def test_alpha_weighs_the_sequence_side():
    seq, graph, length = torch.full((3, 2), 10.0), torch.full((3, 2), 20.0), torch.tensor([1, 30, 500])
    assert Fixed(alpha=0.3).mix(seq, graph, length).tolist() == [[17.0, 17.0]] * 3


def test_equal_views_stay_as_they_are():
    view = torch.randn(4, 8)
    assert torch.allclose(Fixed(alpha=0.37).mix(view, view, torch.arange(4)), view)


@pytest.mark.parametrize("alpha", [-0.01, 1.7, float("nan")])
def test_a_weight_outside_the_unit_interval_is_refused_by_name(alpha):
    with pytest.raises(ValueError, match=r"fusion\.alpha="):
        Fixed(alpha=alpha)


@pytest.mark.parametrize(
    ("side", "sides"), [("both", (True, True)), ("input", (True, False)), ("candidate", (False, True))]
)
def test_side_says_where_it_acts(side, sides):
    fusion = Fixed(side=side, level="embedding")
    assert (fusion.fuses_inputs, fusion.fuses_candidates) == sides


def test_a_weight_that_is_null_is_yet_to_be_chosen_and_travels_with_the_weights():
    for kind, names in ((Fixed, ["alpha"]), (Discrete, ["alpha_short", "alpha_mid", "alpha_long"])):
        assert not kind().unset
        for name in names:
            fusion = kind(**{name: None})
            assert fusion.unset
            assert fusion.values.isnan().tolist() == [other == name for other in names]
            fusion.load_state_dict(kind().state_dict())
            assert not fusion.unset
