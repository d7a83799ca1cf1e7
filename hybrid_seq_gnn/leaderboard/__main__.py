"""`python -m hybrid_seq_gnn.leaderboard`: every run below a folder, ranked within its data and split."""

from collections.abc import Sequence

from hybrid_seq_gnn.results import command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.leaderboard",
        "%(prog)s [FOLDER ...] [--filter KEY=VALUE] [--sort METRIC] [--csv]",
        "Every finished run below a folder, at any depth: seeds put together, best first, one table for each data and "
        "split.",
    )
    parser.add_argument("paths", nargs="*", default=["outputs"], metavar="FOLDER", help="or runs, or globs (outputs)")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only runs with this option or setting: data=ml-1m, fusion.alpha=0.3. May be repeated: all must hold",
    )
    parser.add_argument(
        "--sort",
        default="validation",
        metavar="METRIC",
        help="validation (NDCG@10, the default), or a test metric: NDCG@10, HR@10/short",
    )
    parser.add_argument("--csv", action="store_true", help="print every column with every digit as CSV")
    command.run("hybrid_seq_gnn.leaderboard.command", parser.parse_args(arguments))


if __name__ == "__main__":
    main()
