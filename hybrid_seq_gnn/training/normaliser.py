"""The normaliser of a geometric mixture of two distributions, as a polynomial of the weight."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

DEGREE = 16


def polynomial(seq: Float[Tensor, "B items"], graph: Float[Tensor, "B items"]) -> Float[Tensor, "B C"]:
    """Chebyshev coefficients of log Z over alpha in [0, 1], of every row.

        log Z(alpha) = log sum_j p_seq(j)^alpha p_graph(j)^(1 - alpha),     Z(0) = Z(1) = 1

    log Z is smooth and convex, so its values at the 17 extrema of a Chebyshev polynomial tell the rest. Measured on 512
    users of MovieTweetings (SASRec and gnn=transitions), the worst error of any user at any alpha is 1e-4 nats and that
    of the mean over users 4e-7; with an encoder four times as sharp 6e-4 and 2e-6. The slope is right to 5e-3 and 3e-5.
    Two sides that share next to nothing (scores drawn from a normal distribution of width 8) are the worst: 1e-1, and
    1e-3 in the mean.

    Args:
        seq, graph: finite scores, whose softmax over all items are the two distributions.

    Cost: 15 times an exponential of every score (at the ends it is known), about 5 ns each on one CPU core.
    """
    graph = graph.to(seq.dtype)
    whole = seq.logsumexp(1).double(), graph.logsumexp(1).double()
    k = torch.arange(DEGREE + 1, dtype=torch.float64)
    values = []
    for alpha in ((1 + torch.cos(math.pi * k[1:-1] / DEGREE)) / 2).tolist():
        mixed = torch.lerp(graph, seq, alpha).logsumexp(1).double()
        values.append(mixed - alpha * whole[0] - (1 - alpha) * whole[1])
    share = torch.cos(math.pi * torch.outer(k, k[1:-1]) / DEGREE) * 2 / DEGREE  # cosine transform; the ends are 0
    share[[0, -1]] /= 2
    return torch.stack(values, dim=1) @ share.T.to(seq.device)


def interpolate(coefficients: Float[Tensor, "R C"], alpha: Float[Tensor, "R A"]) -> Float[Tensor, "R A"]:
    """The polynomial of each row at A places in [0, 1], by Clenshaw's recurrence; it has gradients."""
    x = 2 * alpha - 1
    one = two = torch.zeros_like(x)
    for c in coefficients.unsqueeze(2).unbind(1)[:0:-1]:
        one, two = c + 2 * x * one - two, one
    return coefficients[:, :1] + x * one - two
