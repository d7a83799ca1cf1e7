"""Cross-entropy over all items without storing all logits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.seen import Excluded
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.model.chunked_softmax import ItemSoftmax, chunks


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
        side, items = ItemSoftmax(query, table, targets, bias, bias_weight), len(table) - 1
        full, query_grad, table_grad = side.query, side.query_grad, side.table_grad
        weight_grad = torch.empty_like(weight) if weight is not None and ctx.needs_input_grad[4] else None
        bias_grad = torch.empty_like(bias_weight) if bias_weight is not None and ctx.needs_input_grad[8] else None
        log_p = torch.empty_like(side.target_logit)
        for chunk in chunks(len(query), table):
            extra = None if weight is None or of_rows is None else (weight[chunk, None], of_rows(chunk))
            e, total, log_p[chunk] = side.softmax(chunk, extra, excluded)
            if weight_grad is not None and extra is not None:
                extra[1][:, 0] = 0.0
                weight_grad[chunk] = (e[:, : items + 1] * extra[1]).sum(1) / total[:, 0]
                weight_grad[chunk] -= extra[1].gather(1, targets[chunk, None])[:, 0]
            if bias_grad is not None:
                bias_grad[chunk] = (e @ side.bias[:, None]) / total
            side.add_gradients(chunk, e, 1 / total)
        own, loss = table[targets], -log_p
        query_grad.sub_(own, alpha=1 - smoothing)
        table_grad.index_add_(0, targets, full, alpha=smoothing - 1)
        if smoothing:
            mean = table[1:].mean(0)
            loss = loss + smoothing * (side.target_logit - (full @ mean + side.bias[1 : items + 1].mean())[:, None])
            query_grad.sub_(mean, alpha=smoothing)
            table_grad[1:].sub_(full.sum(0), alpha=smoothing / items)
        if bias_grad is not None:
            bias_grad -= side.bias[targets, None]
        ctx.save_for_backward(query_grad, table_grad, weight_grad, bias_grad)
        return loss.mean()

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
    bias: Float[Tensor, "N"] | None = None,
    bias_weight: Float[Tensor, "M 1"] | None = None,
) -> Float[Tensor, ""]:
    """`F.cross_entropy(query @ table[1:].T + bias[1:], targets - 1)`, faster on a CPU and without its (M, N) memory.

        loss = mean over rows of log sum_j exp(score_j) - score_target         sum over items, 0 is padding
        score_j = query . table_j + bias_j                                     the bias has no gradient

    With `bias_weight`, which has a gradient, bias_j is multiplied by the weight of the row. With label smoothing e, the
    target's score is replaced by (1 - e) times it plus e times the mean score. With `extra`, weight * extra_j is added
    to every score; it is not smoothed. Excluded items are not in the sum over items. Neither they nor a `bias_weight`
    go with smoothing.

    Source: Wijmans et al. 2024, "Cut Your Losses" (arXiv:2411.09009). Ours differs: theirs is a GPU kernel that
    recomputes the logits for the gradient, ours computes the gradient in the forward pass.

    Raises:
        UserError: there are no rows.
    """
    if len(query) == 0:
        raise UserError("cross-entropy needs at least one row.")
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
        bias: Tensor | None,
        *sides: Tensor,
    ) -> Tensor:
        pairs = zip(sides[::2], sides[1::2], (bias, None), strict=False)
        both = [ItemSoftmax(query, table, targets, each) for query, table, each in pairs]
        logs = alpha.new_empty(2, len(targets))
        if other is not None:
            logs[1] = other
        weights = torch.stack([alpha, 1 - alpha])
        for chunk in chunks(len(targets), both[0].table):
            softmaxes = [side.softmax(chunk, excluded=excluded) for side in both]
            for log, (_, _, log_p) in zip(logs, softmaxes, strict=False):
                log[chunk] = log_p[:, 0]
            shares = torch.softmax(weights[:, chunk].log() + logs[:, chunk], 0)[:, :, None]
            for side, (e, total, _), share in zip(both, softmaxes, shares, strict=False):
                side.add_gradients(chunk, e, share / total)
                side.query_grad[chunk] -= share * side.table[targets[chunk]]
                side.table_grad.index_add_(0, targets[chunk], share * side.query[chunk], alpha=-1)
        mixed = torch.logsumexp(weights.log() + logs, 0)
        of_sides = [each for side in both for each in (side.query_grad, side.table_grad)]
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
    bias: Float[Tensor, "N"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over rows of -log(alpha p_1(target) + (1 - alpha) p_2(target)), without (M, N) memory.

    Args:
        alpha: weight of the first side.
        targets: the correct items; item 0 is padding, with probability 0.
        other: log p_2(target) if the second side has no gradient.
        sides: query (M, D) and table (N, D) of the first side, and of the second unless `other` is given; p is the
            softmax of query @ table.T.
        bias: added to the scores of the first side, without gradient.
    """
    with torch.autocast(alpha.device.type, enabled=False):  # products are added in place, in one type
        loss: Tensor = _LinearMixtureLoss.apply(alpha, targets, other, excluded, bias, *sides)  # type: ignore[no-untyped-call]
    return loss
