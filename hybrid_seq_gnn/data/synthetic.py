"""Synthetic data with adjustable structure, for which it is known what can be learned."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from hybrid_seq_gnn.data.events import Events, events
from hybrid_seq_gnn.data.raw import Part
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.limits import AtLeast0, AtLeast1, Weight

CLUSTER = 10  # items per cluster


@dataclass(frozen=True, kw_only=True)
class Synthetic(Source):
    """Users who follow an order, stay in a cluster, or choose popular items.

    Items form a hidden circle, in which each has a successor, and hidden clusters of ten, independent of the circle.
    Each user has a favourite cluster. The next item is

    1. with probability `order_strength` the successor of the last one;
    2. else with probability `cooccurrence_strength` an item of the favourite cluster;
    3. else any item, by popularity (weights 1, 1/2, 1/3, ...).

    No item repeats in a history: an item that is already there is skipped for the next one on the circle (1), another
    one of the cluster (2; rule 3 if none is left) or another item (3). So with order_strength=1 the last item
    determines the next, and with order_strength=0 the order of a history carries no information.

    Attributes:
        users, items: number of users and items.
        order_strength, cooccurrence_strength: probabilities, see above.
        short_share: share of users with 5 to 12 events; of the others, five in six have 13 to 52 and one in six 53 to
            80. A history holds at most half of all items.
        seed: seed of the data, separate from the seed of the run.
    """

    users: AtLeast1 = 1000
    items: Annotated[int, Ge(2 * CLUSTER)] = 200
    order_strength: Weight = 0.5
    cooccurrence_strength: Weight = 0.5
    short_share: Weight = 0.5
    seed: AtLeast0 = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None:
            raise UserError("data.path does not apply to data=synthetic, which generates its data; leave it unset.")

    def content(self) -> list[Part]:
        """Nothing: the settings, which are part of every key, determine the data."""
        return [Part("synthetic", b"")]

    def read(self, content: list[Part]) -> Events:
        """Draw the circle, the clusters and the popularity, then each user's history."""
        rng = np.random.default_rng(self.seed)
        circle = rng.permutation(self.items)
        place = np.argsort(circle)
        clusters = np.array_split(rng.permutation(self.items), self.items // CLUSTER)
        popularity = 1 / (1 + rng.permutation(self.items))
        popularity /= popularity.sum()
        lengths = np.minimum(self.lengths(rng), self.items // 2)
        histories = [self.walk(rng, n, circle, place, clusters, popularity) for n in lengths]
        return events(np.repeat(np.arange(self.users), lengths), np.concatenate(histories))

    def lengths(self, rng: np.random.Generator) -> np.ndarray:
        """(users,) events of each user."""
        short = rng.random(self.users) < self.short_share
        long = rng.random(self.users) < 1 / 6
        middle = np.where(long, rng.integers(53, 81, self.users), rng.integers(13, 53, self.users))
        return np.where(short, rng.integers(5, 13, self.users), middle)

    def walk(
        self,
        rng: np.random.Generator,
        length: int | np.integer,
        circle: np.ndarray,
        place: np.ndarray,
        clusters: list[np.ndarray],
        popularity: np.ndarray,
    ) -> np.ndarray:
        favourite = clusters[rng.integers(len(clusters))]
        new = np.ones(self.items, dtype=bool)
        history = np.empty(length, dtype=np.int64)
        for t in range(int(length)):
            left = favourite[new[favourite]]
            if t > 0 and rng.random() < self.order_strength:
                following = np.roll(circle, -place[history[t - 1]] - 1)
                item = following[new[following].argmax()]
            elif len(left) and rng.random() < self.cooccurrence_strength:
                item = rng.choice(left)
            else:
                weight = popularity * new
                item = rng.choice(self.items, p=weight / weight.sum())
            history[t] = item
            new[item] = False
        return history
