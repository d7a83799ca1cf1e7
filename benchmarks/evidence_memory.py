"""Seconds and peak memory of building the evidence memory, and of reading it for a batch of users.

python benchmarks/evidence_memory.py [EVENTS] [ITEMS]       10,000,000 events of 1,000,000 items by default
"""

import resource
import sys
import time

import numpy as np
import torch

from hybrid_seq_gnn.data.batches import ranking_batches
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import leave_one_out
from hybrid_seq_gnn.gnn.evidence import Evidence

EVENTS, ITEMS = (int(argument) for argument in (*sys.argv[1:], "10_000_000", "1_000_000")[:2])
LENGTH = 20


def peak():
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20):.1f} GiB"


torch.set_num_threads(1)
rng = np.random.default_rng(0)
items = (ITEMS * rng.random(EVENTS) ** 3).astype(np.int64) + 1  # a few items are had often
users = EVENTS // LENGTH
names = np.arange(1, ITEMS + 1)
sequences = Sequences(np.arange(users + 1) * LENGTH, items[: users * LENGTH], None, np.arange(users), names)
print(f"data: {peak()}")
started = time.perf_counter()
memory = Evidence(sequences, leave_one_out(sequences))
print(f"built: {time.perf_counter() - started:.0f} s, {len(memory.successors.then):,} edges, {peak()}")
end = sequences.lengths - 1
batch = next(ranking_batches(sequences, np.arange(64), end, 50, 64)).batch
started = time.perf_counter()
memory.of_all(batch, torch.arange(1, 65) * (LENGTH - 1) - 1)
print(f"read for 64 users: {time.perf_counter() - started:.2f} s, {peak()}")
