"""Cross-entropy over all items without storing all logits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.seen import Excluded
from hybrid_seq_gnn.errors import UserError

CACHE = 8 << 20  # bytes of logits at a time on a CPU: they stay in its cache
MEMORY = 1 << 28  # the same elsewhere: a few large products
ALIGNED = 16  # rows of logits are a multiple of so many numbers, 64 bytes


def chunks(rows: int, table: Tensor) -> Iterator[slice]:
    """Slices of the rows whose logits are held at a time."""
    most = 128 if table.device.type == "cpu" else rows
    size = (CACHE if table.device.type == "cpu" else MEMORY) // (4 * len(table))
    size = min(max(size, 64), most)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def padded(table: Tensor) -> Tensor:
    """The table with rows of zeros up to a multiple of `ALIGNED`; the logits' product is a fifth faster for that."""
    return F.pad(table, (0, 0, 0, -len(table) % ALIGNED))


def table_bias(bias: Tensor | None, table: Tensor) -> Tensor:
    """A number, or several, for each row of the padded table; without a bias 0, which costs nothing in a product."""
    bias = table.new_zeros(len(table)) if bias is None else bias.to(table.dtype)
    return F.pad(bias, (0, -len(table) % ALIGNED))


def factors(query: Tensor, table: Tensor, bias: Tensor, bias_weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and a start: logits = start + rows @ columns.

    Biases by weight are more dimensions of the product, which cost next to nothing.
    """
    columns, bias = table.T.contiguous(), bias.to(table.dtype)
    if bias_weight is None:
        return query, columns, bias
    rows = torch.cat([query, bias_weight.to(query.dtype)], dim=1)
    return rows, torch.cat([columns, bias]), torch.zeros_like(bias[0])


def bias_at(targets: Tensor, bias: Tensor, bias_weight: Tensor | None) -> Tensor:
    """(M, 1) the bias in the logit of each target."""
    if bias_weight is None:
        return bias[targets, None]
    return (bias_weight * bias[:, targets].T).sum(1, keepdim=True)


def softmax_of(logits: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Softmax over the items 1 to size - 1, in the memory of the logits, and (rows, 1) the log of the sum of exp."""
    logits[:, 0] = logits[:, size:] = -torch.inf
    peak = logits.amax(1, keepdim=True)
    p = torch.softmax(logits, 1, out=logits)
    return p, peak - p.amax(1, keepdim=True).log_()  # the largest p is exp(peak) / sum


def add_gradients(probability: Tensor, query: Tensor, table: Tensor, query_grad: Tensor, table_grad: Tensor) -> None:
    """Set the gradient of a chunk of queries, and add to that of the table, but for what the targets add."""
    if table.dtype == query_grad.dtype:
        torch.mm(probability, table, out=query_grad)
        table_grad.addmm_(probability.T, query)
    else:
        query_grad.copy_(probability @ table)
        table_grad += (probability.T @ query).to(table_grad.dtype)


@dataclass(frozen=True)
class Extra:
    """Scores added to the dot products, computed a chunk of rows at a time, without gradient.

    Attributes:
        weight: (M,) weight in each row, with gradient.
        of_rows: maps a slice of the rows to their (rows, N) scores, finite but for padding.
    """

    weight: Float[Tensor, "M"]
    of_rows: Callable[[slice], Tensor]


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass: each chunk of logits is computed, used and overwritten.

        d loss / d logits = softmax - (1 - smoothing) * one_hot(target) - smoothing / items

    Only softmax is as large as the logits; what the other two terms add to the gradients is known without them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        table: Tensor,
        targets: Tensor,
        smoothing: float,
        weight: Tensor | None,
        of_rows: Callable[[slice], Tensor] | None,
        excluded: Excluded | None,
        bias: Tensor | None,
        bias_weight: Tensor | None,
    ) -> Tensor:
        rows, items = len(query), len(table) - 1
        full = query.to(table.dtype)
        query_grad = torch.empty_like(full)
        weight_grad = torch.empty_like(weight) if weight is not None and ctx.needs_input_grad[4] else None
        bias_grad = torch.empty_like(bias_weight) if bias_weight is not None and ctx.needs_input_grad[8] else None
        total = table.new_empty(rows, 1)  # log of the sum of exp(logits)
        own = table[targets]
        extra_own = table.new_zeros(rows, 1)
        q, t = full, padded(table)
        if half := torch.is_autocast_enabled(query.device.type):
            q, t = full.bfloat16(), t.bfloat16()
        bias = table_bias(bias, table)
        wide, columns, start = factors(q, t, bias, bias_weight)
        sums, buffer = table.new_zeros(t.shape), t.new_empty(0)
        for chunk in chunks(rows, table):
            part = q[chunk]
            if len(part) > len(buffer):
                buffer = t.new_empty(len(part), len(t))
            logits = torch.addmm(start, wide[chunk], columns, out=buffer[: len(part)])
            logits = logits.float() if half else logits
            if weight is not None and of_rows is not None:
                extra = of_rows(chunk)
                logits[:, : len(table)].addcmul_(weight[chunk, None], extra)
                extra_own[chunk] = extra.gather(1, targets[chunk, None])
            if excluded is not None:
                excluded.remove(logits, chunk, targets[chunk])
            probability, total[chunk] = softmax_of(logits, len(table))
            if weight_grad is not None:
                extra[:, 0] = 0.0
                weight_grad[chunk] = (probability[:, : len(table)] * extra).sum(1) - extra_own[chunk, 0]
            if bias_grad is not None:
                torch.mm(probability, bias.T, out=bias_grad[chunk])
            add_gradients(probability.to(t.dtype), part, t, query_grad[chunk], sums)
        table_grad = sums[: len(table)]
        chosen = (full * own).sum(1, keepdim=True) + bias_at(targets, bias, bias_weight)
        query_grad.sub_(own, alpha=1 - smoothing)
        table_grad.index_add_(0, targets, full, alpha=smoothing - 1)
        if smoothing:
            mean = table[1:].mean(0)
            chosen = (1 - smoothing) * chosen + smoothing * (full @ mean + bias[1 : items + 1].mean())[:, None]
            query_grad.sub_(mean, alpha=smoothing)
            table_grad[1:].sub_(full.sum(0), alpha=smoothing / items)
        if weight is not None:
            chosen = chosen + weight[:, None] * extra_own
        if bias_grad is not None:
            bias_grad -= bias[:, targets].T
        ctx.save_for_backward(query_grad, table_grad, weight_grad, bias_grad)
        return (total - chosen).sum() / rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / len(ctx.saved_tensors[0])
        query, table, weight, bias_weight = (None if grad is None else grad * scale for grad in ctx.saved_tensors)
        return query, table, None, None, weight, None, None, None, bias_weight  # autograd casts to input dtypes


def linear_cross_entropy(
    query: Float[Tensor, "M D"],
    table: Float[Tensor, "N D"],
    targets: Int[Tensor, "M"],
    smoothing: float = 0.0,
    extra: Extra | None = None,
    excluded: Excluded | None = None,
    bias: Float[Tensor, "*P N"] | None = None,
    bias_weight: Float[Tensor, "M P"] | None = None,
) -> Float[Tensor, ""]:
    """`F.cross_entropy(query @ table[1:].T + bias[1:], targets - 1)`, faster on a CPU and without its (M, N) memory.

        loss = mean over rows of log sum_j exp(score_j) - score_target         sum over items, 0 is padding
        score_j = query . table_j + bias_j                                     the bias has no gradient

    With `bias_weight`, which has a gradient, bias_j is a sum of P biases by weight in each row. With label smoothing e,
    the target's score is replaced by (1 - e) times it plus e times the mean score. With `extra`, weight * extra_j is
    added to every score; it is not smoothed. Excluded items are not in the sum over items. Neither they nor a
    `bias_weight` go with smoothing.

    Source: Wijmans et al. 2024, "Cut Your Losses" (arXiv:2411.09009). Ours differs: theirs is a GPU kernel that
    recomputes the logits for the gradient, ours computes the gradient in the forward pass.

    Raises:
        ValueError: there are no rows.
    """
    if len(query) == 0:
        raise UserError("cross-entropy needs at least one row.")
    if not torch.is_grad_enabled():
        parts = []
        for chunk in chunks(len(query), table):
            logits = query[chunk] @ table.T
            if bias is not None:
                logits = logits + (bias if bias_weight is None else bias_weight[chunk] @ bias)
            if extra is not None:
                logits = logits + extra.weight[chunk, None] * extra.of_rows(chunk)
            if excluded is not None:
                excluded.remove(logits, chunk, targets[chunk])
            parts.append(
                torch.nn.functional.cross_entropy(
                    logits[:, 1:], targets[chunk] - 1, reduction="sum", label_smoothing=smoothing
                )
            )
        return torch.stack(parts).sum() / len(query)
    weight, of_rows = (None, None) if extra is None else (extra.weight, extra.of_rows)
    loss: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        query, table, targets, smoothing, weight, of_rows, excluded, bias, bias_weight
    )
    return loss


class _LinearMixtureLoss(torch.autograd.Function):
    """Loss and gradients of a mixture of softmaxes in one pass; `other` stands for a side without gradient.

    With r = alpha p_1(target) / p(target), the share of the first side in the target's probability:

        d loss / d logits_1 = r (softmax_1 - one_hot(target)),    of the second side with 1 - r
        d loss / d alpha    = -(r / alpha - (1 - r) / (1 - alpha))
    """

    @staticmethod
    def forward(
        ctx: Any,
        alpha: Tensor,
        targets: Tensor,
        other: Tensor | None,
        excluded: Excluded | None,
        bias: tuple[Tensor | None, Tensor | None],
        *sides: Tensor,
    ) -> Tensor:
        pairs = [(query.to(table.dtype), table) for query, table in zip(sides[::2], sides[1::2], strict=True)]
        pads = [padded(table) for _, table in pairs]
        columns = [pad.T.contiguous() for pad in pads]
        grads = [(torch.empty_like(query), torch.zeros_like(pad)) for (query, _), pad in zip(pairs, pads, strict=True)]
        owns, size = [table[targets] for _, table in pairs], len(pairs[0][1])
        logs = alpha.new_empty(2, len(targets))
        if other is not None:
            logs[1] = other
        weights = torch.stack([alpha, 1 - alpha])
        biases = [table_bias(each, pairs[0][1]) for each in bias]
        for chunk in chunks(len(targets), pairs[0][1]):
            softmaxes = []
            for side, ((query, _), own) in enumerate(zip(pairs, owns, strict=True)):
                logits = torch.addmm(biases[side], query[chunk], columns[side])
                if excluded is not None:
                    excluded.remove(logits, chunk, targets[chunk])
                p, total = softmax_of(logits, size)
                logs[side, chunk] = (query[chunk] * own[chunk]).sum(1) + biases[side][targets[chunk]] - total[:, 0]
                softmaxes.append(p)
            shares = torch.softmax(weights[:, chunk].log() + logs[:, chunk], 0)[:, :, None]
            for p, share, (query, _), pad, own, (query_grad, table_grad) in zip(
                softmaxes, shares, pairs, pads, owns, grads, strict=False
            ):
                weighted = share * query[chunk]
                query_grad[chunk] = share * (p @ pad - own[chunk])
                table_grad.addmm_(p.T, weighted).index_add_(0, targets[chunk], weighted, alpha=-1)
        mixed = torch.logsumexp(weights.log() + logs, 0)
        of_sides = [each for query_grad, table_grad in grads for each in (query_grad, table_grad[:size])]
        ctx.save_for_backward((logs[1] - mixed).exp() - (logs[0] - mixed).exp(), *of_sides)
        return -mixed.mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        alpha_grad, *rest = ctx.saved_tensors
        scale = grads[0] / len(alpha_grad)
        return alpha_grad * scale, None, None, None, None, *(each * scale for each in rest)


def linear_mixture_loss(
    alpha: Float[Tensor, "M"],
    targets: Int[Tensor, "M"],
    other: Float[Tensor, "M"] | None,
    *sides: Tensor,
    excluded: Excluded | None = None,
    bias: tuple[Float[Tensor, "N"] | None, Float[Tensor, "N"] | None] = (None, None),
) -> Float[Tensor, ""]:
    """Mean over rows of -log(alpha p_1(target) + (1 - alpha) p_2(target)), without (M, N) memory.

    Args:
        alpha: weight of the first side.
        targets: the correct items; item 0 is padding, with probability 0.
        other: log p_2(target) if the second side has no gradient.
        sides: query (M, D) and table (N, D) of the first side, and of the second unless `other` is given; p is the
            softmax of query @ table.T.
        bias: added to the scores of either side, without gradient.
    """
    with torch.autocast(alpha.device.type, enabled=False):  # products are added in place, in one type
        loss: Tensor = _LinearMixtureLoss.apply(alpha, targets, other, excluded, bias, *sides)  # type: ignore[no-untyped-call]
    return loss
