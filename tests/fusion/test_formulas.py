"""Every fusion's alpha against its formula, written for one length at a time in plain Python."""

import math

import pytest
import torch

from hybrid_seq_gnn.fusion.continuous import Continuous
from hybrid_seq_gnn.fusion.discrete import Discrete
from hybrid_seq_gnn.fusion.gated import Gated
from hybrid_seq_gnn.fusion.learnable import Learnable
from hybrid_seq_gnn.fusion.length_gate import LengthGate
from hybrid_seq_gnn.fusion.piecewise import Piecewise

LENGTHS = range(1, 201)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def discrete(n, short=0.3, mid=0.5, long=0.7, limits=(10, 50)):
    return short if n <= limits[0] else mid if n <= limits[1] else long


def continuous(n, w=-0.1, b=1.5, scale=0.4, offset=0.5):
    return min(max(sigmoid(w * math.log(n + 1) + b) * scale + offset, 0.1), 0.9)


def length_gate(n, midpoint=20.0, slope=1.0, low=0.1, high=0.9):
    return low + (high - low) * sigmoid(slope * (math.log(1 + n) - math.log(1 + midpoint)))


def piecewise(n, knots=(5.0, 15.0, 30.0, 60.0), values=(0.3, 0.4, 0.5, 0.6)):
    if n <= knots[0]:
        return values[0]
    for k in range(len(knots) - 1):
        if n <= knots[k + 1]:
            return values[k] + (values[k + 1] - values[k]) * (n - knots[k]) / (knots[k + 1] - knots[k])
    return values[-1]


CASES = [
    (Discrete(), discrete, {}),
    (Discrete(alpha_short=0.9, L_short=3, L_long=7), discrete, {"short": 0.9, "limits": (3, 7)}),
    (Learnable(), discrete, {"short": 0.4, "mid": 0.5, "long": 0.6}),
    (Learnable(constraint="clamp", init_long=0.9), discrete, {"short": 0.4, "mid": 0.5, "long": 0.9}),
    (Continuous(), continuous, {}),
    (Continuous(w=0.7, b=-1.0), continuous, {"w": 0.7, "b": -1.0}),
    (
        Continuous(w=2.0, b=-6.0, scale=1.5, offset=-0.2),
        continuous,
        {"w": 2.0, "b": -6.0, "scale": 1.5, "offset": -0.2},
    ),
    (LengthGate(), length_gate, {}),
    (
        LengthGate(midpoint=3.5, slope=-2.0, low=0.2, high=1.0),
        length_gate,
        {"midpoint": 3.5, "slope": -2.0, "low": 0.2, "high": 1.0},
    ),
    (Piecewise(), piecewise, {}),
    (
        Piecewise(knots=(1.0, 4.5, 120.0), values=(0.9, 0.1, 0.8)),
        piecewise,
        {"knots": (1.0, 4.5, 120.0), "values": (0.9, 0.1, 0.8)},
    ),
]


@pytest.mark.parametrize(
    ("fusion", "slow", "settings"), CASES, ids=lambda v: type(v).__name__ if hasattr(v, "mix") else ""
)
def test_alpha_equals_the_formula_at_every_length_from_1_to_200(fusion, slow, settings):
    found = fusion.alpha(torch.tensor(LENGTHS)).tolist()
    assert found == pytest.approx([slow(n, **settings) for n in LENGTHS], abs=1e-6)


def test_whole_numbers_are_weights_too():
    assert LengthGate(slope=1).slope.requires_grad
    assert Continuous(w=0, b=1).w.requires_grad


def test_the_plans_continuous_alpha_falls_with_length_and_the_length_gate_rises():
    falls, rises = (fusion.alpha(torch.tensor(LENGTHS)).diff() for fusion in (Continuous(), LengthGate()))
    assert bool((falls < 0).all())
    assert bool((rises > 0).all())


@pytest.mark.parametrize("constraint", ["sigmoid", "clamp"])
def test_learnable_starts_at_init_and_stays_in_its_interval_wherever_its_weights_go(constraint):
    fusion = Learnable(constraint=constraint)
    assert fusion.bins().tolist() == pytest.approx([0.4, 0.5, 0.6])
    with torch.no_grad():
        fusion.theta.copy_(torch.tensor([-50.0, 0.3, 50.0]))
    low, middle, high = fusion.bins().tolist()
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.9))
    assert middle == pytest.approx(0.3 if constraint == "clamp" else 0.1 + 0.8 * sigmoid(0.3))


def test_a_clamp_has_no_gradient_beyond_its_limits_and_the_smooth_map_has():
    for constraint, moves in (("clamp", False), ("sigmoid", True)):
        fusion = Learnable(constraint=constraint)
        with torch.no_grad():
            fusion.theta.fill_(1.5)
        fusion.bins().sum().backward()
        assert bool((fusion.theta.grad > 0).all()) == moves


@pytest.mark.parametrize(("towards", "target"), [("init", (0.4, 0.5, 0.6)), ("zero", (0.0, 0.0, 0.0))])
def test_the_penalty_is_the_weighted_squared_distance_from_what_it_pulls_to(towards, target):
    fusion = Learnable(l2_weight=0.3, l2_towards=towards)
    with torch.no_grad():
        fusion.theta.copy_(torch.tensor([-1.0, 0.0, 2.0]))
    slow = 0.3 * sum((0.1 + 0.8 * sigmoid(t) - c) ** 2 for t, c in zip((-1.0, 0.0, 2.0), target, strict=True))
    assert fusion.penalty().item() == pytest.approx(slow, rel=1e-5)


def test_gated_equals_its_formula_for_one_user_at_a_time():
    torch.manual_seed(0)
    fusion = Gated(3, hidden_dim=4)
    torch.nn.init.normal_(fusion.out.weight)
    states = torch.randn(5, 3)
    for n, state in zip((1, 7, 20, 51, 200), states, strict=True):
        known = [math.log(1 + n), *state.tolist()]
        hidden = [
            math.tanh(sum(w * x for w, x in zip(row, known, strict=True)) + c)
            for row, c in zip(fusion.hidden.weight.tolist(), fusion.hidden.bias.tolist(), strict=True)
        ]
        logit = sum(u * h for u, h in zip(fusion.out.weight[0].tolist(), hidden, strict=True)) + fusion.out.bias.item()
        assert fusion.alpha(torch.tensor([n]), state[None]).item() == pytest.approx(sigmoid(logit), abs=1e-6)


def test_a_gate_whose_midpoint_has_gone_far_keeps_a_gradient():
    gate = LengthGate(midpoint=1e40)  # float32 ends at 3e38
    gate.alpha(torch.tensor([5])).sum().backward()
    assert gate.slope.grad.isfinite() and gate.log_midpoint.grad.isfinite()
