"""`python -m hybrid_seq_gnn.compare`: is it better, for whom, by how much, and how sure?"""

from collections.abc import Sequence

from hybrid_seq_gnn.evaluation.metrics import METRICS
from hybrid_seq_gnn.results import command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.compare",
        "%(prog)s BASELINE RUN [RUN ...] [options]",
        "Compare configurations with a baseline, user by user: differences with intervals, paired tests corrected "
        "within families, effect sizes, and what could not have been found with so few users.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="RUN",
        help="run folders, sweep folders, folders above them or globs; the first one is the baseline, with its other "
        "seeds. Runs that differ in nothing but their seed are one configuration.",
    )
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="the baseline is the configuration with this option or setting, of all that are named: model=sasrec. May "
        "be repeated",
    )
    parser.add_argument("--metrics", default=",".join(METRICS), help="HR, NDCG or MRR @5, @10, @20 (%(default)s)")
    parser.add_argument("--groups", default="overall,short,medium,long", help="by length of the history (%(default)s)")
    between = command.argument_type(float, lambda value: 0 < value < 1, "a number between 0 and 1")
    parser.add_argument("--alpha", type=between, default=0.05, help="level of significance (%(default)s)")
    parser.add_output("compare")
    parser.add_draws()
    parser.add_argument(
        "--two-level", action="store_true", help="draw seeds as well as users: would another training say the same?"
    )
    command.run("hybrid_seq_gnn.compare.command", parser.parse_args(arguments))


if __name__ == "__main__":
    main()
