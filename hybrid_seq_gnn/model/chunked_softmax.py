"""Softmax over all items and its gradients, for a chunk of rows at a time."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from hybrid_seq_gnn.data.seen import Excluded

CACHE = 3 << 19  # bytes of logits at a time on a CPU: they stay in its cache
MEMORY = 1 << 28  # the same elsewhere: a few large products
RELATIVE = ("cpu",)  # devices where logits are taken relative to the target's, see `ItemSoftmax`
LARGEST = 1e30  # sum of exp of a row, relative to its target: for a probability of its target below 1e-30
ALIGNED = 16  # rows of logits are a multiple of so many numbers, 64 bytes


def chunks(rows: int, table: Tensor) -> Iterator[slice]:
    """Slices of the rows whose logits are held at a time."""
    on_cpu = table.device.type == "cpu"
    size = max((CACHE if on_cpu else MEMORY) // (4 * len(table)), 64)
    size = min(size, 128 if on_cpu else rows)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def padded(table: Tensor) -> Tensor:
    """The table with rows of zeros up to a multiple of `ALIGNED`; the logits' product is a fifth faster for that."""
    return F.pad(table, (0, 0, 0, -len(table) % ALIGNED))


def table_bias(bias: Tensor | None, table: Tensor) -> Tensor:
    """A number for each row of the padded table; without a bias 0, which costs nothing in a product."""
    bias = table.new_zeros(len(table)) if bias is None else bias.to(table.dtype)
    return F.pad(bias, (0, -len(table) % ALIGNED))


ChunkExtra = tuple[Tensor, Tensor]  # (rows, 1) weights of (rows, N) numbers that are added to the logits of a chunk


class ItemSoftmax:
    """Queries and the table they are multiplied with: softmax and gradients, a chunk of rows at a time.

    In float32 and float64 on a CPU, logits are taken relative to the target's; no maximum is needed, and exp is fast:

        e_j = exp(logit_j - logit_target),   p_j = e_j / sum_i e_i,   -log p_target = log sum_i e_i

    The maximum of each row is subtracted elsewhere, and where a target has next to no chance (`LARGEST`) or scores are
    so large that rounding hides it.

    Attributes:
        query, table: in the type of the table, whose row 0 is padding.
        target_logit: (M, 1).
        bias: (N padded,), by a weight (M, 1) in each row if one is given.
        query_grad: (M, D), of the chunks whose gradients were added.
    """

    def __init__(
        self, query: Tensor, table: Tensor, targets: Tensor, bias: Tensor | None, bias_weight: Tensor | None = None
    ) -> None:
        self.query, self.table, self.targets = query.to(table.dtype), table, targets
        self.bias = table_bias(bias, table)
        weight = self.query.new_ones(len(targets), 1) if bias_weight is None else bias_weight
        self.target_logit = (self.query * table[targets]).sum(1, keepdim=True) + weight * self.bias[targets, None]
        self.half = torch.is_autocast_enabled(query.device.type)
        self.relative = query.device.type in RELATIVE and not self.half and table.dtype.itemsize >= 4
        dtype = torch.bfloat16 if self.half else table.dtype
        self.rows = self.query.to(dtype)
        self.padded = padded(table).to(dtype)
        self.columns = self.padded.T.contiguous()
        self.added: Tensor | None = self.bias.to(dtype)  # to the product of rows and columns
        if self.relative or bias_weight is not None:  # the bias is a dimension of the product, at next to no cost
            self.rows = torch.cat([self.rows, weight.to(dtype)], 1)
            ones = self.columns.new_ones(int(self.relative), len(self.padded))  # for what `logits` takes off
            self.columns, self.added = torch.cat([self.columns, self.bias[None].to(dtype), ones]), None
        self.buffer = self.padded.new_empty(0)
        self.query_grad, self.padded_table_grad = torch.empty_like(self.query), table.new_zeros(self.padded.shape)

    @property
    def table_grad(self) -> Tensor:
        """(N, D), of the chunks whose gradients were added."""
        return self.padded_table_grad[: len(self.table)]

    def logits(self, chunk: slice, extra: ChunkExtra | None, subtracted: Tensor) -> Tensor:
        """(rows, N padded) logits, in memory that the next chunk overwrites.

        Args:
            subtracted: (rows, 1) what is taken off them where they are relative.
        """
        rows = self.rows[chunk]
        if self.relative:
            rows = torch.cat([rows, -subtracted], 1)
        if len(rows) > len(self.buffer):
            self.buffer = self.padded.new_empty(len(rows), len(self.padded))
        out = self.buffer[: len(rows)]
        if self.added is None:
            torch.mm(rows, self.columns, out=out)
        else:
            torch.addmm(self.added, rows, self.columns, out=out)
        logits = out.float() if self.half else out
        if extra is not None:
            logits[:, : len(self.table)].addcmul_(*extra)
        return logits

    def softmax(
        self, chunk: slice, extra: ChunkExtra | None = None, excluded: Excluded | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(rows, N padded) e, (rows, 1) its sum and (rows, 1) the log-probability of each target."""
        target_logit, targets, size = self.target_logit[chunk], self.targets[chunk], len(self.table)
        if self.relative:
            if extra is not None:
                target_logit = target_logit + extra[0] * extra[1].gather(1, targets[:, None])
            e = self.logits(chunk, extra, target_logit).exp_()
            e[:, 0] = e[:, size:] = 0.0
            if excluded is not None:
                excluded.remove(e, chunk, targets, 0.0)
            total = e.sum(1, keepdim=True)
            if bool(((total > 0.5) & (total < LARGEST)).all()):  # at least 1, but for rounding
                return e, total, -total.log()
        logits = self.logits(chunk, extra, torch.zeros_like(target_logit))
        target_logit = logits.gather(1, targets[:, None])  # rounded as the others are
        logits[:, 0] = logits[:, size:] = -torch.inf
        if excluded is not None:
            excluded.remove(logits, chunk, targets)
        peak = logits.amax(1, keepdim=True)
        p = torch.softmax(logits, 1, out=logits)
        total = peak - p.amax(1, keepdim=True).log_()  # the largest p is exp(peak) / sum
        return p, torch.ones_like(total), target_logit - total

    def add_gradients(self, chunk: slice, e: Tensor, scale: Tensor) -> None:
        """Those of scale * (e - one_hot(target)) but for its second term, by the logits of a chunk."""
        part, grad = self.query[chunk] * scale, self.query_grad[chunk]
        e = e.to(self.padded.dtype)
        if self.half:
            grad.copy_(e @ self.padded)
            self.padded_table_grad += (e.T @ part.bfloat16()).to(self.padded_table_grad.dtype)
        else:
            torch.mm(e, self.padded, out=grad)
            self.padded_table_grad.addmm_(e.T, part)
        grad *= scale
