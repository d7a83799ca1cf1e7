"""Cross-entropy over all items without storing all logits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.errors import UserError

ROWS = 256  # rows of logits in memory at a time: small enough to stay in cache, large enough for a fast product


@dataclass(frozen=True)
class Prior:
    """Scores added to the dot products, computed a chunk of rows at a time, without gradient.

    Attributes:
        weight: (M,) weight of each row's prior, with gradient.
        of_rows: maps a slice of the rows to their (rows, items) scores, all finite.
    """

    weight: Float[Tensor, "M"]
    of_rows: Callable[[slice], Tensor]


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass: each chunk of logits is computed, used and overwritten."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        table: Tensor,
        targets: Tensor,
        smoothing: float,
        weight: Tensor | None,
        prior: Callable[[slice], Tensor] | None,
    ) -> Tensor:
        rows, items = query.shape[0], table.shape[0]
        query_grad = torch.empty_like(query, dtype=table.dtype)
        table_grad = torch.zeros_like(table)
        weight_grad = None if weight is None else torch.empty_like(weight)
        buffer = table.new_empty(min(ROWS, rows), items)
        loss = table.new_zeros(())
        if half := torch.is_autocast_enabled(query.device.type):
            full, query, table = table, query.bfloat16(), table.bfloat16()
        for start in range(0, rows, ROWS):
            chunk = slice(start, min(start + ROWS, rows))
            q, target = query[chunk], targets[chunk, None]
            logits = (q @ table.T).float() if half else torch.mm(q, table.T, out=buffer[: len(q)])
            if weight is not None and prior is not None:
                extra = prior(chunk)
                logits += weight[chunk, None] * extra
            peak = logits.amax(1, keepdim=True)
            chosen = logits.gather(1, target)
            if smoothing:
                chosen = (1 - smoothing) * chosen + smoothing * logits.mean(1, keepdim=True)
            probability = logits.sub_(peak).exp_()
            total = probability.sum(1, keepdim=True)
            loss += (total.log() + peak - chosen).sum()
            # d loss / d logits = softmax - (1 - smoothing) * one_hot(target) - smoothing / items
            probability.div_(total).scatter_add_(1, target, torch.full_like(total, smoothing - 1.0))
            if smoothing:
                probability.sub_(smoothing / items)
            if weight_grad is not None:
                weight_grad[chunk] = (probability * extra).sum(1)
            if half:
                probability = probability.bfloat16()
                query_grad[chunk] = (probability @ table).to(full.dtype)
                table_grad += (probability.T @ q).to(full.dtype)
            else:
                torch.mm(probability, table, out=query_grad[chunk])
                table_grad.addmm_(probability.T, q)
        ctx.save_for_backward(query_grad, table_grad, weight_grad)
        ctx.rows = rows
        return loss / rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query_grad, table_grad, weight_grad = ctx.saved_tensors
        scale = grads[0] / ctx.rows
        weight_grad = None if weight_grad is None else weight_grad * scale
        return query_grad * scale, table_grad * scale, None, None, weight_grad, None  # autograd casts to input dtypes


def linear_cross_entropy(
    query: Float[Tensor, "M D"],
    table: Float[Tensor, "items D"],
    targets: Int[Tensor, "M"],
    smoothing: float = 0.0,
    prior: Prior | None = None,
) -> Float[Tensor, ""]:
    """`F.cross_entropy(query @ table.T, targets)`, three times as fast on a CPU and without its (M, items) memory.

        loss = mean over rows of log sum_j exp(query . table_j) - query . table_target

    With label smoothing e, the target's score is replaced by (1 - e) times it plus e times the mean score. With a
    prior, weight * prior_j is added to every score.

    Source: Wijmans et al. 2024, "Cut Your Losses" (arXiv:2411.09009). Ours differs: theirs is a GPU kernel that
    recomputes the logits for the gradient, ours computes the gradient in the forward pass.

    Raises:
        ValueError: there are no rows.
    """
    if len(query) == 0:
        raise UserError("cross-entropy needs at least one row.")
    if not torch.is_grad_enabled():
        parts = []
        for k in range(0, len(query), ROWS):
            chunk = slice(k, min(k + ROWS, len(query)))
            logits = query[chunk] @ table.T
            if prior is not None:
                logits = logits + prior.weight[chunk, None] * prior.of_rows(chunk)
            parts.append(
                torch.nn.functional.cross_entropy(logits, targets[chunk], reduction="sum", label_smoothing=smoothing)
            )
        return torch.stack(parts).sum() / len(query)
    weight, of_rows = (None, None) if prior is None else (prior.weight, prior.of_rows)
    loss: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        query, table, targets, smoothing, weight, of_rows
    )
    return loss


class _LinearLogProbability(torch.autograd.Function):
    """The log-probability of each row's target; backward recomputes the logits, since it needs the rows' gradients."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        query = query.to(table.dtype)
        total = torch.empty_like(query[:, 0])
        for k in range(0, len(query), ROWS):
            total[k : k + ROWS] = (query[k : k + ROWS] @ table.T).logsumexp(1)
        ctx.save_for_backward(query, table, targets, total)
        return (query * table[targets]).sum(1) - total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        query, table, targets, total = ctx.saved_tensors
        weight = grads[0].unsqueeze(1)
        query_grad, table_grad = torch.empty_like(query), torch.zeros_like(table)
        for k in range(0, len(query), ROWS):
            q, w = query[k : k + ROWS], weight[k : k + ROWS]
            change = (q @ table.T).sub_(total[k : k + ROWS, None]).exp_().mul_(-w)
            change.scatter_add_(1, targets[k : k + ROWS, None], w)
            query_grad[k : k + ROWS] = change @ table
            table_grad.addmm_(change.T, q)
        return query_grad, table_grad, None


def linear_log_probability(
    query: Float[Tensor, "M D"], table: Float[Tensor, "items D"], targets: Int[Tensor, "M"]
) -> Float[Tensor, "M"]:
    """log softmax(query @ table.T) at the targets, row by row, without (M, items) memory."""
    result: Tensor = _LinearLogProbability.apply(query, table, targets)  # type: ignore[no-untyped-call]
    return result
