"""The log normaliser of a geometric mixture of two distributions, as a polynomial of the weight alpha."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

DEGREE = 16


def polynomial(seq: Float[Tensor, "B items"], graph: Float[Tensor, "B items"]) -> Float[Tensor, "B C"]:
    """Chebyshev coefficients of log Z over alpha in [0, 1], for each row.

        log Z(alpha) = log sum_j p_seq(j)^alpha p_graph(j)^(1 - alpha),     Z(0) = Z(1) = 1

    log Z is smooth and convex, so interpolation at the 17 extrema of a Chebyshev polynomial is accurate. Measured on
    512 users of MovieTweetings (SASRec and gnn=transitions), the largest error of any user at any alpha is 1e-4 nats
    and that of the mean over users 4e-7; with an encoder four times as sharp, 6e-4 and 2e-6. Errors of the slope are at
    most 5e-3 and 3e-5. The worst case is two sides with almost nothing in common (scores drawn from a normal
    distribution with standard deviation 8): 1e-1, and 1e-3 for the mean.

    Args:
        seq, graph: finite scores; their softmax over all items gives the two distributions.

    Cost: 15 exponentials of each score (both ends are known), about 5 ns each on one CPU core.
    """
    graph = graph.to(seq.dtype)
    seq_total, graph_total = seq.logsumexp(1).double(), graph.logsumexp(1).double()
    k = torch.arange(DEGREE + 1, dtype=torch.float64)
    values = []
    for alpha in ((1 + torch.cos(math.pi * k[1:-1] / DEGREE)) / 2).tolist():
        mixed = torch.lerp(graph, seq, alpha).logsumexp(1).double()
        values.append(mixed - alpha * seq_total - (1 - alpha) * graph_total)
    transform = torch.cos(math.pi * torch.outer(k, k[1:-1]) / DEGREE) * 2 / DEGREE  # cosine transform; the ends are 0
    transform[[0, -1]] /= 2
    return torch.stack(values, dim=1) @ transform.T.to(seq.device)


def interpolate(coefficients: Float[Tensor, "R C"], alpha: Float[Tensor, "R A"]) -> Float[Tensor, "R A"]:
    """The polynomial of each row at A values of alpha in [0, 1], by Clenshaw's recurrence; differentiable."""
    x = 2 * alpha - 1
    b1 = b2 = torch.zeros_like(x)
    for c in coefficients.unsqueeze(2).unbind(1)[:0:-1]:
        b1, b2 = c + 2 * x * b1 - b2, b1
    return coefficients[:, :1] + x * b1 - b2
