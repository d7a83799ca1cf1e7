"""`python -m hybrid_seq_gnn.report`: one page that answers, and shows what it stands on."""

from collections.abc import Sequence

from hybrid_seq_gnn.results import command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.Parser(
        "python -m hybrid_seq_gnn.report",
        "%(prog)s SWEEP_OR_RUN [SWEEP_OR_RUN ...] [options]",
        "Write one self-contained report.html about finished runs: is it better than the baseline, for whom, by how "
        "much, how sure; with figures (also as PNG and PDF), success criteria, and all that is needed to do it again.",
    )
    parser.add_argument("paths", nargs="+", metavar="SWEEP_OR_RUN", help="run folders, sweep folders or globs of them")
    parser.add_argument(
        "--baseline",
        metavar="KEY=VALUE|FOLDER",
        help="the configuration to compare with, by a setting or by its folder (model=sasrec where there is one)",
    )
    parser.add_argument(
        "--criteria", default="study", metavar="NAME", help="of conf/criteria, a path to a .yaml, or none (%(default)s)"
    )
    parser.add_output("report")
    parser.add_draws()
    command.run("hybrid_seq_gnn.report.command", parser.parse_args(arguments))


if __name__ == "__main__":
    main()
