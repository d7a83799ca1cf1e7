"""Split each user's events into training, validation and test."""

import hashlib
from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.errors import UserError


@dataclass(frozen=True)
class Split:
    """Positions in each user's sequence, counted from 0; all events before a target are its history.

    Attributes:
        train_end: (users,) int64. Events [0, train_end) are for training.
        valid: (users,) int64 position of the validation target, -1 if the user has none.
        test: (users,) int64 position of the test target, -1 if the user has none.
    """

    train_end: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    def hash(self, sequences: Sequences, data_hash: str | None = None) -> str:
        """sha256 over ids, order and roles of all events: two runs with the same hash can be compared.

        `data_hash` is `sequences.hash()`, if it is known.
        """
        digest = hashlib.sha256((data_hash or sequences.hash()).encode())
        for part in (self.train_end, self.valid, self.test):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        return digest.hexdigest()

    def before_test(self, sequences: Sequences) -> "Split":
        """The same test targets, with everything before them for training.

        Users without a test target add all their events, unless none of them is in the training part: they may all be
        later than the test of others.
        """
        without = np.where(self.train_end > 0, sequences.lengths, 0)
        train_end = np.where(self.test >= 0, self.test, without)
        return Split(train_end=train_end, valid=np.full_like(self.valid, -1), test=self.test)


def leave_one_out(sequences: Sequences) -> Split:
    """A user's last event is for test, the one before for validation, the rest for training.

    Raises:
        UserError: a user has fewer than three events.
    """
    lengths = sequences.lengths
    if len(short := np.flatnonzero(lengths < 3)):
        user = sequences.user_ids[short[0]]
        raise UserError(
            f"{len(short)} users have fewer than 3 events (user {user}: {lengths[short[0]]}), so they have "
            "nothing to train on; raise data.min_user_events to 3 or more."
        )
    return Split(train_end=lengths - 2, valid=lengths - 2, test=lengths - 1)


def global_time(sequences: Sequences, valid_share: float, test_share: float) -> Split:
    """Two cut-off times, the same for all users; events before the first are for training.

    `valid_share + test_share` of all events lie after the first cut-off, and `test_share` after the second. A user's
    validation target is the first event at or after the first cut-off and before the second; the test target is the
    first event at or after the second. Each needs an event before it. No prediction uses events after its cut-off.

    Source: Meng et al. 2020, "Exploring Data Splitting Strategies for the Evaluation of Recommendation Models"
    (arXiv:2007.13237).

    Raises:
        UserError: there are no timestamps, or no user has a target.
    """
    times = sequences.timestamps
    if times is None:
        raise UserError("data.split=global_time needs timestamps, but these data have none; use leave_one_out.")
    ordered = np.sort(times)
    if ordered[0] == ordered[-1]:
        raise UserError("data.split=global_time: all events have the same time; use leave_one_out.")
    first = ordered[int(len(ordered) * (1 - valid_share - test_share))]
    second = ordered[int(len(ordered) * (1 - test_share))]
    user = np.repeat(np.arange(sequences.num_users), sequences.lengths)

    def before(cutoff: np.generic) -> np.ndarray:
        return np.bincount(user[times < cutoff], minlength=sequences.num_users)

    train_end, until_second = before(first), before(second)
    valid = np.where((until_second > train_end) & (train_end > 0), train_end, -1)
    test = np.where((sequences.lengths > until_second) & (until_second > 0), until_second, -1)
    for name, target in (("validation", valid), ("test", test)):
        if (target < 0).all():
            raise UserError(
                f"data.split=global_time: no user has a {name} event with a history before it; "
                "raise data.valid_share and data.test_share, or use leave_one_out."
            )
    return Split(train_end=train_end, valid=valid, test=test)
