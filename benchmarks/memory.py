"""Peak memory and seconds of a run from the command line: SASRec with cross-entropy on ML-1M, histories of 200."""

import argparse
import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.machine import apart, table
from benchmarks.worlds import FILES, VARIABLE

GROUPS = {"ml-1m": "ml-1m", "ml-100k": "ml-100k", "beauty": "sequences"}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", default=["ml-1m"], choices=(*FILES, "movietweetings"))
    parser.add_argument("--folder", default=os.environ.get(VARIABLE), help=f"{', '.join(FILES.values())}; ${VARIABLE}")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("more", nargs="*", help="settings, such as training.batch_size=128")


def run(options: argparse.Namespace) -> None:
    table(("run", "peak MiB", "CPU s"), rows(options))


def rows(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    for name in options.data:
        settings = [f"data={GROUPS.get(name, name)}", "model=sasrec", f"training.epochs={options.epochs}"]
        settings += ["model.max_length=200"] if name == "ml-1m" else []
        settings += options.more
        path = [f"data.path={options.folder}/{FILES[name]}"] if options.folder and name in FILES else []
        found = apart(train, [*settings, *path])
        yield " ".join(settings), f"{found.peak:.0f}", f"{found.cpu:.0f}"


def train(settings: list[str]) -> None:
    """`python -m hybrid_seq_gnn`, here."""
    from hybrid_seq_gnn.__main__ import main

    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        os.environ["HYBRID_SEQ_GNN_CACHE"] = f"{folder}/cache"
        sys.argv = ["hybrid_seq_gnn", f"hydra.run.dir={folder}/run", *settings]
        with contextlib.suppress(SystemExit):
            main()
        if not os.path.exists(f"{folder}/run/results.json"):
            raise RuntimeError(f"the run failed: {said.getvalue()}")
