"""`python -m hybrid_seq_gnn.export`: a trained run as one file to serve."""

from collections.abc import Sequence
from pathlib import Path

from hybrid_seq_gnn.results import command

ENDINGS = (".onnx", ".pt2")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.export",
        "%(prog)s RUN --out FILE [options]",
        "Write a trained run as one file that gives the best items for a history: model.onnx for onnxruntime, or "
        "model.pt2 for PyTorch alone. The file is checked against the run before it is kept; "
        "model.vocabulary.json beside it says which number is which item.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="RUN",
        help="a run folder; of a sweep folder or several runs, the one with the best validation metric",
    )
    ending = command.argument_type(Path, lambda path: path.suffix in ENDINGS, "a file that ends in .onnx or .pt2")
    parser.add_argument(
        "--out", type=ending, required=True, metavar="FILE", help=".onnx needs pip install 'hybrid_seq_gnn[export]'"
    )
    number = command.argument_type(int, lambda value: value >= 1, "a whole number from 1 up")
    parser.add_argument("--k", type=number, default=10, help="items per history (%(default)s)")
    command.run("hybrid_seq_gnn.export.command", parser.parse_args(arguments))


if __name__ == "__main__":
    main()
