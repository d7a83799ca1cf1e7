"""`python -m hybrid_seq_gnn.recommend`: what should each user see next?"""

from collections.abc import Sequence
from pathlib import Path

from hybrid_seq_gnn.results import command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.recommend",
        "%(prog)s RUN [options] [data=OPTION data.SETTING=VALUE ...]",
        "The best items for users of the training data (--users), of another log (data.path=…, read as in training), "
        "of a file of histories (--histories), or for one history (--history). A new user needs no training.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, or a sweep or a glob: its best run on validation")
    parser.add_argument("settings", nargs="*", metavar="data.SETTING=VALUE", help="of another log with the same items")
    parser.add_argument("--users", metavar="all|IDS|FILE", help="ids with commas, or a file with one per line (all)")
    parser.add_argument(
        "--history",
        action="append",
        metavar="ITEMS",
        help="item ids, oldest first, with spaces between them; if ids hold spaces, --history ID once for each",
    )
    parser.add_argument(
        "--histories",
        type=Path,
        metavar="FILES",
        help="Parquet with columns user and history (a list of item ids): a file, folder or glob",
    )
    whole = command.argument_type(int, lambda value: value > 0, "a whole number from 1 up")
    parser.add_argument("--k", type=whole, default=10, help="items per user (%(default)s)")
    parser.add_argument("--include-seen", action="store_true", help="items that the user has had are candidates too")
    parser.add_argument(
        "--before",
        choices=("now", "test", "validation"),
        default="now",
        help="for users of the training data: what came before their held-out item, as in the evaluation (%(default)s)",
    )
    parser.add_argument(
        "--explain", action="store_true", help="alpha, the share of each side, and the events behind it"
    )
    parser.add_argument("--titles", metavar="FILE", help="movies.dat, u.item, or a table with item and title")
    parser.add_argument("--out", type=Path, metavar="FILE", help=".parquet, .csv or .jsonl; without it, a short table")
    parser.add_argument("--shard", metavar="I/N", help="only the I-th of N parts of the users, for an array of jobs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (%(default)s)")
    parser.add_engine()
    command.run("hybrid_seq_gnn.recommend.command", parser.parse_intermixed_args(arguments))


if __name__ == "__main__":
    main()
