"""`python -m hybrid_seq_gnn.evaluate`: is the model still as good on next month's log?"""

from collections.abc import Sequence
from pathlib import Path

from hybrid_seq_gnn.results import command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.evaluate",
        "%(prog)s RUN [options] [data=OPTION data.SETTING=VALUE ...]",
        "Rank a trained model on another log whose items have the same ids. Writes results.json and per_user.parquet, "
        "which `compare` reads. Unknown items are left out, unknown users are fine.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, or a sweep or a glob: its best run on validation")
    parser.add_argument("settings", nargs="*", metavar="data.SETTING=VALUE", help="where they differ from the run's")
    parser.add_argument(
        "--histories",
        type=Path,
        metavar="FILES",
        help="Parquet with columns user and history (a list of item ids, the last held out): a file, folder or glob",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="(outputs/evaluate/RUN-HASH)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (%(default)s)")
    parser.add_engine()
    command.run("hybrid_seq_gnn.evaluate.command", parser.parse_intermixed_args(arguments))


if __name__ == "__main__":
    main()
