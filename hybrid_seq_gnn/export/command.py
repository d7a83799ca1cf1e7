"""The command `export`: a run, its file, the check of it, and the vocabulary beside it."""

import argparse
import json
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.errors import UserError, message_of
from hybrid_seq_gnn.export.check import check
from hybrid_seq_gnn.export.models import Best, traceable
from hybrid_seq_gnn.export.write import require_packages, runner, traced, write
from hybrid_seq_gnn.files import atomic, short_path
from hybrid_seq_gnn.use.load import Trained, choose, load_trained

FORMAT = {
    "inputs": {
        "history": "int64 (1, T): item numbers, oldest first, no padding; T from 1 to max_length, so cut the oldest",
        "seen": "int64 (1, H): item numbers that are no candidates, such as the whole history; 0 is none; H from 1",
        "length": "int64 (1,): events of the user before the history was cut",
    },
    "outputs": {
        "items": "int64 (1, k): item numbers, best first; 0 where there are too few candidates",
        "scores": "float32 (1, k): the model's scores; -inf there",
    },
}


def run(args: argparse.Namespace) -> str:
    """Write and check the file, and return what to print."""
    if args.out.suffix == ".onnx":
        require_packages()
    if args.out.is_dir():
        raise UserError(f"--out {args.out} is a folder; expected a file.")
    trained = load_trained(choose(args.paths), "cpu")
    if args.k > trained.num_items:
        raise UserError(f"--k {args.k}: expected a whole number from 1 to {trained.num_items}, the number of items.")
    module = Best(traceable(trained.model), args.k).eval().requires_grad_(False)
    try:
        return export(trained, module, args.out)
    except OSError as error:
        raise UserError(message_of(error, "--out")) from error


def export(trained: Trained, module: Best, out: Path) -> str:
    """Write two files, of which neither is left if the first one does not do what the run does."""
    beside = out.with_suffix(".vocabulary.json")
    vocabulary = json.dumps(vocabulary_of(trained, module.k), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    refuse_shared(out, beside, vocabulary.encode())
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic(out) as file, atomic(beside) as words:
        write(traced(module, trained.max_length), file, out.suffix)
        checked = check(runner(file, out.suffix), trained, module.k)
        words.write_text(vocabulary, "utf-8")
        size = file.stat().st_size
    return (
        f"the same top {module.k} as {short_path(trained.folder)} for {checked.histories} of {checked.histories} "
        f"histories ({checked.kind})\nwritten to {short_path(out)}, {size / 1e6:.1f} MB, and {short_path(beside)}"
    )


def refuse_shared(out: Path, beside: Path, vocabulary: bytes) -> None:
    """Refuse a file where one of another ending has the same vocabulary file, which would be that of another model."""
    other = out.with_suffix(".pt2" if out.suffix == ".onnx" else ".onnx")
    if other.exists() and beside.exists() and beside.read_bytes() != vocabulary:
        raise UserError(
            f"--out {out}: {beside.name} is there for {other.name}, and says other items, another --k or another "
            f"model. Choose another name, or remove {other.name} first."
        )


def vocabulary_of(trained: Trained, k: int) -> dict[str, Any]:
    """What a server needs beside the file: `item_ids[n - 1]` is the item of number n.

    `max_length` is 2 ** 30 if the model reads the whole history. `alpha` is the weight of the sequence side, null if
    nothing is mixed or if it depends on the history.
    """
    fusion = getattr(trained.model, "fusion", None)
    alpha = None if fusion is None or fusion.adaptive else round(float(fusion.values[0]), 6)
    return {"k": k, "max_length": trained.max_length, "alpha": alpha, **FORMAT, "item_ids": trained.item_ids.tolist()}
