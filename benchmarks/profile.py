"""Operators of a training step by their own CPU time, from PyTorch's profiler; measuring slows small ones down."""

import argparse
from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.machine import table
from benchmarks.steps import Case
from benchmarks.worlds import MODELS, data_options, model_of, worlds


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.add_argument("--model", default="sasrec", choices=MODELS)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--validation", action="store_true", help="ranking the validation users instead")


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    for world in worlds(options):
        case = Case(world, *model_of(options.model, world), options.steps)
        work = case.validate if options.validation else case.epoch
        work()
        with profile(activities=[ProfilerActivity.CPU]) as found:
            work()
        what = f"validating {world.name}" if options.validation else f"{len(case.windows)} steps of {world.name}"
        table((f"{what}, {options.model}", "calls", "ms", "share"), rows(found, options.top))


def rows(found: profile, top: int) -> Iterator[tuple[str, ...]]:
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    for event in events[:top]:
        own = event.self_cpu_time_total
        yield event.key, str(event.count), f"{own / 1e3:.1f}", f"{own / total:.1%}"
