"""Seconds and peak memory of building the evidence memory, and of reading it for a batch of 64 users."""

import argparse
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.machine import apart, cpu, peak_memory, table
from benchmarks.worlds import random_world
from hybrid_seq_gnn.data.batches import ranking_batches
from hybrid_seq_gnn.gnn.evidence import Evidence

PER_USER = 20


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--items", type=int, default=1_000_000)


def run(options: argparse.Namespace) -> None:
    found = apart(build_and_read, options.events, options.items).value
    table((f"{options.events:,} events, {options.items:,} items", "CPU s", "peak MiB"), shown(found))


def shown(found: list[tuple[str, float, float]]) -> Iterator[tuple[str, str, str]]:
    return ((what, f"{seconds:.2f}", f"{peak:.0f}") for what, seconds, peak in found)


def build_and_read(events: int, items: int) -> list[tuple[str, float, float]]:
    started = cpu()
    data = random_world(items, events // PER_USER, PER_USER).prepared
    found = [("data", cpu() - started, peak_memory())]
    started = cpu()
    memory = Evidence(data.sequences, data.split)
    found.append((f"building, {len(memory.successors.then):,} edges", cpu() - started, peak_memory()))
    users = np.arange(min(64, data.sequences.num_users))
    batch = next(ranking_batches(data.sequences, users, data.sequences.lengths - 1, 50, 64)).batch
    started = cpu()
    memory.of_all(batch, torch.arange(1, len(users) + 1) * (PER_USER - 1) - 1)
    return [*found, (f"reading for {len(users)} users", cpu() - started, peak_memory())]
