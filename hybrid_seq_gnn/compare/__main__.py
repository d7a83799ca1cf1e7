"""`python -m hybrid_seq_gnn.compare`: is it better, for whom, by how much, and how sure?"""

from collections.abc import Sequence
from pathlib import Path

from hybrid_seq_gnn.results import command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.compare",
        "%(prog)s BASELINE RUN [RUN ...] [options]",
        "Compare configurations with a baseline, user by user: differences with intervals, paired tests corrected for "
        "all comparisons shown, effect sizes, and what could not have been found with so few users.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="RUN",
        help="run folders, sweep folders, folders above them or globs; the first one is the baseline. Runs that differ "
        "in nothing but their seed are one configuration.",
    )
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="the baseline is the configuration with this option or setting, of all that are named: model=sasrec. May "
        "be repeated",
    )
    parser.add_argument("--metrics", default="NDCG@10,HR@10,MRR@10", help="HR, NDCG or MRR @5, @10, @20 (%(default)s)")
    parser.add_argument("--groups", default="overall,short,medium,long", help="by length of the history (%(default)s)")
    parser.add_argument("--alpha", type=command.share, default=0.05, help="level of significance (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/compare"), metavar="FOLDER", help="(%(default)s)")
    parser.add_argument(
        "--resamples", type=command.whole_number(100), default=10_000, help="of users and of signs (%(default)s)"
    )
    parser.add_argument("--seed", type=command.whole_number(0), default=0, help="of the resamples (%(default)s)")
    parser.add_argument(
        "--two-level", action="store_true", help="draw seeds as well as users: would another training say the same?"
    )
    command.run("hybrid_seq_gnn.compare.command", parser.parse_args(arguments))


if __name__ == "__main__":
    main()
