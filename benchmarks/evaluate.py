"""CPU seconds to validate every user, and their ratio to a training epoch, which is extrapolated from some steps."""

import argparse
from collections.abc import Iterator

import torch

from benchmarks.machine import cpu, table
from benchmarks.steps import Case
from benchmarks.worlds import MODELS, data_options, model_of, worlds


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.add_argument("--models", nargs="+", default=("sasrec",), choices=MODELS[:-1])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    columns = ("data", "model", "users", "validation, s", "ms a user", "epoch, s", "validation ÷ epoch")
    table(columns, rows(options))


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    for world in worlds(options):
        for kind in options.models:
            case = Case(world, *model_of(kind, world), options.steps)
            validation: list[float] = []

            def validate(case: Case = case, seconds: list[float] = validation) -> None:
                started = cpu()
                case.validate()
                seconds.append(cpu() - started)

            steps = [case.epoch(validate) for _ in range(options.rounds)]
            epoch = sum(map(min, zip(*steps, strict=True))) / len(steps[0]) * case.batches_in_epoch
            users, best = int((world.prepared.split.valid >= 0).sum()), min(validation)
            each = f"{1e3 * best / users:.2f}"
            yield world.name, kind, f"{users:,}", f"{best:.2f}", each, f"{epoch:.1f}", f"{best / epoch:.1%}"
