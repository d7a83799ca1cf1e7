"""This package: its own training loop, with the judge in place of its validation."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from judge import Done, Judge

from hybrid_seq_gnn.data.batches import Batch, TrainingBatch, TrainingWindows
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import leave_one_out
from hybrid_seq_gnn.evaluation.evaluate import evaluating
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.training.loop import MONITOR, Stage, train
from hybrid_seq_gnn.training.settings import TrainingSettings

judge = Judge()
limit, epochs = judge.options.steps, judge.options.epochs
users = np.arange(len(judge.valid))
sequences = Sequences(judge.indptr, judge.items, None, users, np.arange(1, judge.num_items + 1))


class Timed(TrainingWindows):
    """Starts and stops the judge's clock, and ends an epoch at the limit."""

    def __len__(self) -> int:
        return limit or super().__len__()

    def epoch(self, rng: np.random.Generator) -> Iterator[TrainingBatch]:
        judge.start()
        for k, item in enumerate(itertools.islice(super().epoch(rng), len(self))):
            judge.step(k)
            yield item
        judge.stop()


split = leave_one_out(sequences)
windows = Timed(sequences, split, judge.length, judge.batch)
assert (windows.first == judge.first).all() and (windows.size == judge.size).all()
settings = {"prior": "none", "init": "random"} if judge.options.plain else {}
model = SASRec(judge.num_items, max_length=judge.length, dropout=judge.options.dropout, **settings)
model.set_prior(torch.from_numpy(sequences.training_counts(split)).float())
if not judge.options.steps:
    judge.start()  # a part of the time to a target
    model.init_items(sequences, split)
    judge.stop()


def score(histories: list[np.ndarray]) -> np.ndarray:
    items = torch.zeros(len(histories), max(map(len, histories)), dtype=torch.long)
    for row, history in enumerate(histories):
        items[row, : len(history)] = torch.from_numpy(history)
    with evaluating(model):
        positions = (items > 0).cumsum(1) * (items > 0)
        return model.next_item_scores(Batch(torch.arange(len(items)), items, positions)).all().numpy()


def validate() -> dict[str, float]:
    global epoch
    epoch += 1
    judge.note(epoch, score)
    return {MONITOR: 0.0}


epoch = 0
training = TrainingSettings(epochs=epochs, patience=0, batch_size=judge.batch, device="cpu")
with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Done):
    path = Path(folder) / "checkpoint.pt"
    train(Stage(model, CrossEntropy(), windows, validate, judge.options.seed, path, "peers"), training, quiet=True)
