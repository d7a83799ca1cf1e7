"""What all sides share: windows, evaluator and clock. NumPy and PyTorch only, since each has packages of its own."""

import argparse
import json
import os
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

torch.set_num_threads(1)
WARM_UP = 2  # steps

Score = Callable[[list[np.ndarray]], np.ndarray]


class Done(Exception):
    """The target is reached."""


class Judge:
    """Data, evaluator and clock of one side in one process.

    Command line: DATA.npz LENGTH BATCH [--epochs E] [--steps S] [--seed S] [--target NDCG]
    With --steps, an epoch is extrapolated from its first S steps, except two; else epochs are trained until the target
    is reached.
    """

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("data")
        parser.add_argument("length", type=int)
        parser.add_argument("batch", type=int)
        parser.add_argument("--epochs", type=int, default=1)
        parser.add_argument("--steps", type=int, default=0)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--target", type=float, default=1.0)
        parser.add_argument("--recommend", type=int, help="then recommend so many items to every user")
        parser.add_argument("--dropout", type=float, default=0.3)
        parser.add_argument("--plain", action="store_true", help="the product without a prior, from random items")
        self.options = parser.parse_args()
        self.length, self.batch = self.options.length, self.options.batch
        arrays = np.load(self.options.data)
        self.indptr, self.items, self.valid = arrays["indptr"], arrays["items"], arrays["valid"]
        self.first, self.size, self.num_items = arrays["first"], arrays["size"], int(arrays["num_items"])
        self.options.steps = min(self.options.steps, self.steps_in_epoch)
        self.cpu = self.wall = 0.0
        torch.manual_seed(self.options.seed)

    @property
    def steps_in_epoch(self) -> int:
        return -(-len(self.first) // self.batch)

    def windows(self) -> list[np.ndarray]:
        """Inputs and, shifted by one, targets: a window of k targets has k + 1 items."""
        return [self.items[f : f + k + 1] for f, k in zip(self.first, self.size, strict=True)]

    def evaluate(self, score: Score) -> float:
        """Validation NDCG@10 over all items, the history masked, ties against the model.

        `score` maps histories to (histories, num_items + 1) scores, the column being the item.
        """
        users = np.flatnonzero(self.valid >= 0)
        users, total = users[np.argsort(self.valid[users])], 0.0
        for k in range(0, len(users), 256):
            rows = users[k : k + 256]
            histories = [self.items[self.indptr[u] : self.indptr[u] + self.valid[u]] for u in rows]
            targets = self.items[self.indptr[rows] + self.valid[rows]]
            scores = np.array(score([history[-self.length :] for history in histories]), dtype=np.float64)
            scores[:, 0] = -np.inf
            own = scores[np.arange(len(rows)), targets].copy()
            for row, history in enumerate(histories):
                scores[row, history] = -np.inf
            scores[np.arange(len(rows)), targets] = -np.inf
            rank = 1 + (scores >= own[:, None]).sum(1)
            total += np.where(rank <= 10, 1 / np.log2(rank + 1), 0).sum()
        return total / len(users)

    def start(self) -> None:
        self.started = time.process_time(), time.perf_counter()

    def step(self, number: int) -> None:
        """Called before each step; where an epoch is extrapolated, the first ones only warm up."""
        if self.options.steps and number == WARM_UP:
            self.start()

    def stop(self) -> None:
        self.cpu += time.process_time() - self.started[0]
        self.wall += time.perf_counter() - self.started[1]

    def note(self, epoch: int, score: Score, steps_in_epoch: int | None = None) -> None:
        """Print a record after an epoch, or after the first steps of one; raise `Done` when the target is reached."""
        steps = self.options.steps
        share = (steps_in_epoch or self.steps_in_epoch) / (steps - WARM_UP) if steps else 1.0
        record = {"epoch": epoch, "cpu": self.cpu * share, "wall": self.wall * share}
        if not steps:
            record["ndcg"] = self.evaluate(score)
        print(json.dumps(record), flush=True)
        enough = steps or record.get("ndcg", 0.0) >= self.options.target
        if enough and not self.options.recommend:
            raise Done


def padded_left(rows: list[np.ndarray], length: int, padding: int = 0) -> np.ndarray:
    out = np.full((len(rows), length), padding, dtype=np.int64)
    for k, row in enumerate(rows):
        out[k, length - len(row) :] = row
    return out
