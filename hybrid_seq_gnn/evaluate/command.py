"""The command `evaluate`: from a run and data to a folder like that of a run."""

import argparse

from hybrid_seq_gnn.results.run_table import run_table
from hybrid_seq_gnn.run.options import changed
from hybrid_seq_gnn.use.evaluate import evaluate
from hybrid_seq_gnn.use.load import choose, load_trained


def run(args: argparse.Namespace) -> str:
    """Evaluate, write, and return what to print."""
    chosen = choose(args.run)
    trained = load_trained(chosen, args.device)
    node = changed("data", trained.config["data"], args.settings)
    option = next((word[5:] for word in args.settings if word.startswith("data=")), chosen.results["options"]["data"])
    found, known = evaluate(trained, chosen, node, option, args.output)
    said = [run_table(found.results), f"{chosen.folder} on {found.results['data']['users']:,} users."]
    if known.unknown or known.targets:
        said.append(
            f"Left out: {known.unknown:,} events of items that the model does not know, and {known.targets:,} users "
            "whose held-out item is one of them or has nothing known before it."
        )
    return "\n".join([*said, f"written to {found.folder}"])
