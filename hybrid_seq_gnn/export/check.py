"""Whether an exported file recommends what the run recommends."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.export.write import Runner
from hybrid_seq_gnn.use.histories import Histories, of_training
from hybrid_seq_gnn.use.load import Trained
from hybrid_seq_gnn.use.recommend import recommend

USERS = 100
TOLERANCE = 1e-4  # relative to the largest score of a history
RANDOM = 60  # events of a random history, where nothing else limits it


@dataclass(frozen=True)
class Checked:
    """How many histories of which kind were tried."""

    histories: int
    kind: str


def check(run: Runner, trained: Trained, k: int) -> Checked:
    """Compare a file with the run on users of the training data, and on random histories of the extreme lengths.

    Raises:
        UserError: they do not agree.
    """
    users, kind = some_users(trained)
    wrong = 0
    for histories in (users, extremes(trained)):
        found = [asked(run, trained, histories, row) for row in range(len(histories))]
        (expected,) = recommend(trained, histories, k)
        for row, (items, scores) in enumerate(found):
            wrong += not agree(items, scores, expected.items[row], expected.scores[row])
    tried = len(users) + len(extremes(trained))
    if wrong:
        raise UserError(
            f"the exported file recommends something else than {trained.folder} for {wrong} of {tried} histories, so "
            "it was not kept. Try the other format (.onnx or .pt2), and please report it."
        )
    return Checked(tried, kind)


def some_users(trained: Trained) -> tuple[Histories, str]:
    """Up to a hundred users of the training data, of all lengths; random histories if the data are gone."""
    try:
        everyone = of_training(trained)
    except (UserError, OSError):
        lengths = np.linspace(1, limit(trained) + 2, USERS).astype(np.int64)
        return random_histories(trained, lengths), "random histories, since the training data are gone"
    order = np.argsort(everyone.lengths, kind="stable")
    order = order[everyone.lengths[order] > 0]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, USERS).astype(np.int64))]
    return everyone.take(chosen), "users of the training data and random histories"


def extremes(trained: Trained) -> Histories:
    """Random histories of one event, of two, of as many as the model reads, and of more."""
    return random_histories(trained, np.array([1, 2, limit(trained), limit(trained) + 3]))


def limit(trained: Trained) -> int:
    """Events that the model reads, or some number if it reads all."""
    return min(trained.max_length, RANDOM)


def random_histories(trained: Trained, lengths: np.ndarray) -> Histories:
    """Histories of random items."""
    items = np.random.default_rng(0).integers(1, trained.num_items + 1, int(lengths.sum()))
    return Histories(np.arange(len(lengths)), np.concatenate([[0], np.cumsum(lengths)]), items)


def asked(run: Runner, trained: Trained, histories: Histories, row: int) -> tuple[np.ndarray, np.ndarray]:
    """What the file gives for one history, whose latest events it reads."""
    whole = histories.of(row).astype(np.int64)
    items, scores = run(whole[None, -trained.max_length :], whole[None], np.array([len(whole)]))
    return items[0], scores[0]


def agree(items: np.ndarray, scores: np.ndarray, expected: np.ndarray, expected_scores: np.ndarray) -> bool:
    """Whether scores are equal, and so are items, where no other has the same score.

    Shape:
        all: (k,).

    Example:
        >>> one = np.array([0.5, 0.2, 0.2])
        >>> agree(np.array([7, 3, 4]), one, np.array([7, 4, 3]), one)
        True
        >>> agree(np.array([3, 7, 4]), one, np.array([7, 3, 4]), one)
        False
    """
    real = np.isfinite(expected_scores)
    if not np.array_equal(real, np.isfinite(scores)) or len(set(items[real])) < real.sum():
        return False
    within = TOLERANCE * np.abs(expected_scores[real]).max(initial=0)
    if (np.abs(scores[real] - expected_scores[real]) > within).any():
        return False
    known = dict(zip(expected[real].tolist(), expected_scores[real].tolist(), strict=True))
    lowest = expected_scores[real].min(initial=np.inf)  # the score of items that tie with the last one
    return all(
        abs(score - known.get(item, lowest)) <= within
        for item, score in zip(items[real].tolist(), scores[real].tolist(), strict=True)
    )
