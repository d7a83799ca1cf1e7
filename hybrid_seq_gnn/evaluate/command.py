"""The command `evaluate`: from a run and data to a folder like that of a run."""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.results.labels import counted
from hybrid_seq_gnn.results.run_table import run_table
from hybrid_seq_gnn.results.runs import FinishedRun
from hybrid_seq_gnn.run.options import changed
from hybrid_seq_gnn.use.evaluate import Ranked, evaluate, rank_data, summed_up
from hybrid_seq_gnn.use.load import choose, load_trained
from hybrid_seq_gnn.use.parts import Rank, files_of, frames_in, on_ray, rows_in


def run(args: argparse.Namespace) -> str:
    """Evaluate, write, and return what to print."""
    if args.histories is not None and args.settings:
        raise UserError("--histories and data.… both name the data; give one of them.")
    if args.engine == "ray" and args.histories is None:
        raise UserError("--engine ray reads Parquet parts: name them with --histories.")
    chosen = choose(args.run)
    config, option = chosen.results["config"], chosen.results["options"]["data"]
    if args.histories is not None:
        found = of_histories(args, chosen)
        config = {**config, "data": {**config["data"], "path": str(args.histories)}}
    else:
        config = {**config, "data": changed("data", config["data"], args.settings)}
        option = next((word[5:] for word in args.settings if word.startswith("data=")), option)
        found = rank_data(load_trained(chosen, args.device), config["data"])
    written = evaluate(chosen, config, option, found, args.output)
    said = [
        run_table(written.results),
        *found.data.get("filters", []),
        f"{chosen.folder} on {counted(len(found.users), 'user')}.",
    ]
    if found.unknown or found.left_out:
        said.append(
            f"Left out: {counted(found.unknown, 'event')} of items that the model does not know, and "
            f"{counted(found.left_out, 'user')} whose held-out item is one of them or has nothing known before it."
        )
    return "\n".join([*said, f"written to {written.folder}"])


def of_histories(args: argparse.Namespace, chosen: FinishedRun) -> Ranked:
    """The last item of each history of Parquet files, ranked here or on a Ray cluster."""
    paths = files_of(args.histories)
    rows_in(paths)
    arguments = (str(chosen.folder.resolve()), args.device)
    if args.engine == "ray":
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            on_ray([str(Path(path).resolve()) for path in paths], Rank, arguments, args.address, Path(folder) / "parts")
            frame = pd.read_parquet(Path(folder) / "parts")
        candidates = load_trained(chosen, "cpu").item_ids
    else:
        rank = Rank(*arguments)
        frame = pd.concat([rank(part) for part in frames_in(paths)], ignore_index=True)
        candidates = rank.trained.item_ids
    return summed_up(candidates, frame.drop(columns="unknown"), int(frame["unknown"].sum()))
