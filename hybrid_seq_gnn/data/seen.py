"""The items that each user has seen in training, which are no negatives."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError

MOST_CELLS = 1 << 31  # of the table of users and items that stays on a GPU, one byte each


class Excluded:
    """Items that are no candidates for some rows of scores, unless they are a row's target."""

    def remove(
        self, scores: Float[Tensor, "R N"], chunk: slice, targets: Int[Tensor, "R"], to: float = -torch.inf
    ) -> None:
        """Set the scores of excluded items to another number, in place.

        Args:
            scores, targets: of the rows in `chunk`.
            to: -inf for a score, 0 for a probability.
        """
        column = targets.unsqueeze(1)
        own = scores.gather(1, column)
        self.fill(scores, chunk, to)
        scores.scatter_(1, column, own)

    def fill(self, scores: Float[Tensor, "R N"], chunk: slice, to: float) -> None:
        """The same for all excluded items, those that are targets too."""
        raise TypeError(f"{type(self).__name__} must implement fill().")


@dataclass(frozen=True)
class ExcludedRuns(Excluded):
    """For a CPU: rows that follow each other exclude the same items.

    Attributes:
        sizes: rows of each run.
        items: (n,) items of each run.
    """

    sizes: list[int]
    items: list[Tensor]

    def fill(self, scores: Float[Tensor, "R N"], chunk: slice, to: float) -> None:
        start = chunk.start
        for run in range(bisect_right(self.ends, start), len(self.sizes)):
            stop = min(self.ends[run], chunk.stop)
            scores[start - chunk.start : stop - chunk.start].index_fill_(1, self.items[run], to)
            if (start := stop) == chunk.stop:
                return

    @cached_property
    def ends(self) -> list[int]:
        """The row after each run."""
        return list(accumulate(self.sizes))


@dataclass(frozen=True)
class ExcludedCells(Excluded):
    """For a GPU: all rows in one step, from a table that stays there.

    Attributes:
        seen: (U, N) whether a user has seen an item.
        users: (M,) the user of each row.
    """

    seen: Bool[Tensor, "U N"]
    users: Int[Tensor, "M"]

    def fill(self, scores: Float[Tensor, "R N"], chunk: slice, to: float) -> None:
        scores[:, : self.seen.shape[1]].masked_fill_(self.seen[self.users[chunk]], to)


class Seen(nn.Module):
    """Distinct items of each user's training part, sorted, as one array of keys user * (num_items + 1) + item.

    Args:
        sequences, split: only the training part is read.
        all_seen: whether a user may have seen all items, so that no negative is left.

    Raises:
        UserError: a user has, and must not.
    """

    def __init__(self, sequences: Sequences, split: Split, all_seen: bool = False) -> None:
        super().__init__()
        self.num_items, self.stride = sequences.num_items, sequences.num_items + 1
        user, items = sequences.training(split)
        key = np.unique(user * self.stride + items)
        first = np.searchsorted(key, np.arange(sequences.num_users + 1) * self.stride)
        full = np.flatnonzero(np.diff(first) >= sequences.num_items)
        if len(full) and not all_seen:
            raise UserError(
                f"user {sequences.user_ids[full[0]]} has seen all {sequences.num_items} items, so no negative is left; "
                "use loss=cross_entropy."
            )
        self.register_buffer("key", torch.from_numpy(key), persistent=False)
        self.register_buffer("first", torch.from_numpy(first), persistent=False)
        self._table: Tensor | None = None
        self._items: Tensor | None = None

    key: Tensor
    first: Tensor

    def has(self, users: Int[Tensor, "*M"], items: Int[Tensor, "*M"]) -> Bool[Tensor, "*M"]:
        """Whether users[m] has seen items[m], for each m."""
        key = users * self.stride + items
        place = torch.searchsorted(self.key, key).clamp_(max=max(len(self.key) - 1, 0))
        return self.key[place] == key if len(self.key) else torch.zeros_like(key, dtype=torch.bool)

    def count(self, users: Int[Tensor, "M"]) -> Int[Tensor, "M"]:
        """Distinct items of each user."""
        return self.first[users + 1] - self.first[users]

    def excluded(self, users: Int[Tensor, "M"]) -> Excluded:
        """What each row's user has seen; rows of a user stand together."""
        if users.device.type != "cpu" and (len(self.first) - 1) * self.stride <= MOST_CELLS:
            return ExcludedCells(self.table(), users)
        return self.runs(users)

    def table(self) -> Bool[Tensor, "U N"]:
        """Whether each user has seen each item; kept for the next step."""
        if self._table is None or self._table.device != self.key.device:
            self._table = torch.zeros(len(self.first) - 1, self.stride, dtype=torch.bool, device=self.key.device)
            self._table.view(-1)[self.key] = True
        return self._table

    def runs(self, users: Int[Tensor, "M"]) -> ExcludedRuns:
        """The items of each run of rows of the same user."""
        if self._items is None or self._items.device != self.key.device:
            self._items = self.key % self.stride
        each, sizes = torch.unique_consecutive(users, return_counts=True)
        ends = zip(self.first[each].tolist(), self.first[each + 1].tolist(), strict=True)
        return ExcludedRuns(sizes.tolist(), [self._items[first:last] for first, last in ends])

    def items_of(self, user: Int[Tensor, ""]) -> Int[Tensor, "S"]:
        """The items of one user."""
        return self.key[self.first[user] : self.first[user + 1]] % self.stride

    def unseen(self, weight: Float[Tensor, "N"]) -> Float[Tensor, "U"]:
        """The weight of all items that each user has not seen."""
        seen = weight.new_zeros(len(self.first) - 1)
        return weight.sum() - seen.index_add_(0, self.key // self.stride, weight[self.key % self.stride])

    def redraw(
        self, users: Int[Tensor, "*M"], items: Int[Tensor, "*M"], draw: Callable[..., Tensor], rounds: int
    ) -> Int[Tensor, "*M"]:
        """Items of which those that the users have seen are drawn again, that often at most. A GPU is not waited for.

        Args:
            draw: returns random items of a shape.
        """
        for _ in range(rounds):
            rejected = self.has(users, items)
            if items.device.type != "cpu":
                items = torch.where(rejected, draw(*items.shape), items)
            elif rejected.any():
                items[rejected] = draw(int(rejected.sum()))
            else:
                break
        return items
