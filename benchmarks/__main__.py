"""Run one benchmark: print the machine, then its tables in Markdown."""

import argparse
import sys
from importlib import import_module

NAMES = {
    "limit": "peak of matrix products, and the share that the loss and a training step reach",
    "train": "milliseconds a step, what the graph side adds, and two checkouts side by side",
    "gpu": "steps, waits and losses on a CUDA device, with Liger and cut-cross-entropy where they install",
    "profile": "operators of a training step by time",
    "serve": "recommendations for all users, for one, for a million, and beside RecTools",
    "evaluate": "validation in relation to a training epoch",
    "prepare": "reading a CSV file, and the cache",
    "scale": "ten million events of a million items: data, graph, steps and ranking",
    "sweep": "trials an hour with one worker and with two, and what a trial costs beside its run",
    "memory": "peak memory of a training",
    "compare": "a comparison of ten runs",
    "experts": "accuracy: what a third expert adds to a trained hybrid",
    "evidence": "building and reading the evidence memory",
    "peers": "RecTools, RePlay and RecBole on the same data",
}


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0] not in NAMES:
        listing = "\n".join(f"  {name:9s} {what}" for name, what in NAMES.items())
        sys.exit(f"usage: python -m benchmarks NAME [options]\n{listing}")
    name, *rest = arguments
    module = import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=module.__doc__)
    module.options(parser)
    options = parser.parse_args(rest)
    if not getattr(options, "json", False):
        print(import_module("benchmarks.machine").description(), flush=True)
    module.run(options)


if __name__ == "__main__":
    main(sys.argv[1:])
