"""The command `recommend`: from a run and histories to a file or a table."""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from hybrid_seq_gnn.errors import UserError, reading
from hybrid_seq_gnn.results.runs import Run
from hybrid_seq_gnn.run.options import changed
from hybrid_seq_gnn.use.histories import Histories, of_lists, of_source, of_training, typed
from hybrid_seq_gnn.use.load import Trained, choose, load_trained
from hybrid_seq_gnn.use.recommend import A_PART, Recommended, recommend
from hybrid_seq_gnn.use.table import check_ending, rows_of, writer

SHOWN = 10  # users in a table on the terminal


def run(args: argparse.Namespace) -> str:
    """Recommend, write, and return what to print."""
    check(args)
    if args.out is not None:
        check_ending(args.out)
    chosen = choose(args.run)
    trained = load_trained(chosen, args.device)
    histories, users = asked(args, trained)
    tally = Tally(trained, args, users)
    if args.out is None:
        return "\n\n".join([tally.shown(histories), tally.sentence(chosen)])
    with writer(args.out) as write:
        for frame in tally.frames(histories):
            write(frame)
    return f"{tally.sentence(chosen)}\nwritten to {args.out}"


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    kinds = {"--users": args.users, "--history": args.history, "--histories": args.histories, "data.…": args.settings}
    if len(given := [name for name, value in kinds.items() if value]) > 1:
        raise UserError(f"{' and '.join(given)} both say for whom to recommend; give one of them.")
    if args.before != "now" and (args.history or args.histories or args.settings):
        raise UserError(f"--before {args.before} is for users of the training data.")


def asked(args: argparse.Namespace, trained: Trained) -> tuple[Iterator[Histories], int]:
    """The histories that were asked for, in parts, and the number of users."""
    if args.histories is not None:
        return of_parquet(trained, args.histories, args.shard), rows_in(args.histories, args.shard)
    if args.history:
        found = typed(trained, read_history(trained, args.history))
    elif args.settings:
        found = of_source(trained, changed("data", trained.config["data"], args.settings))
    else:
        found = of_training(trained, read_users(args.users), args.before)
    found = found.take(share(args.shard, len(found))) if args.shard else found
    return iter([found]), len(found)


def read_history(trained: Trained, words: Sequence[str]) -> list[str]:
    """Item ids from `--history`: one text with spaces between them, or one id each."""
    if len(words) > 1 or trained.numbers([words[0]])[0]:
        return list(words)
    return words[0].split()


def read_users(text: str | None) -> list[str] | None:
    """User ids from `--users`; None means all."""
    if text is None or text == "all":
        return None
    if Path(text).is_file():
        with reading(f"--users {text} cannot be read"):
            return [line for line in Path(text).read_text(encoding="utf-8").splitlines() if line]
    return [one.strip() for one in text.split(",") if one.strip()]


def share(shard: str | None, total: int) -> np.ndarray:
    """Rows of the I-th of N parts.

    Raises:
        UserError: it is not I/N with 1 <= I <= N.
    """
    if shard is None:
        return np.arange(total)
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {shard}: expected I/N with I from 1 to N, such as 3/16.")
    return np.arange(int(match[1]) - 1, total, int(match[2]))


def rows_in(path: Path, shard: str | None) -> int:
    """Users of a Parquet file of histories."""
    with reading(f"--histories {path} cannot be read as Parquet"):
        return len(share(shard, pq.ParquetFile(path).metadata.num_rows))


def of_parquet(trained: Trained, path: Path, shard: str | None) -> Iterator[Histories]:
    """Histories of a Parquet file with columns user and history, some at a time."""
    with reading(f"--histories {path} cannot be read as Parquet"):
        file = pq.ParquetFile(path)
        if missing := {"user", "history"} - set(file.schema_arrow.names):
            raise UserError(f"--histories {path} lacks the column {', '.join(sorted(missing))}.")
        start = 0
        for batch in file.iter_batches(A_PART, columns=["user", "history"]):
            rows = share(shard, start + batch.num_rows)
            rows = rows[rows >= start] - start
            start += batch.num_rows
            users, lists = (batch.column(name).take(rows) for name in ("user", "history"))
            filled = [one or [] for one in lists.to_pylist()]
            yield of_lists(trained, users.to_pandas().to_numpy(), filled)


class Tally:
    """Recommendations as frames, and what is to be said about them.

    Args:
        trained: the model.
        args: of the command.
        users: number of users, for the progress bar.
    """

    def __init__(self, trained: Trained, args: argparse.Namespace, users: int) -> None:
        self.trained, self.args, self.total = trained, args, users
        self.users = self.empty = self.unknown = 0
        self.include_seen = args.include_seen or not trained.mask_history

    def recommended(self, parts: Iterator[Histories]) -> Iterator[Recommended]:
        """Recommendations, part by part, with a progress bar on a terminal."""
        with tqdm(total=self.total, unit=" users", disable=None, leave=False) as bar:
            for part in parts:
                self.unknown += part.unknown
                for found in recommend(self.trained, part, self.args.k, include_seen=self.include_seen):
                    self.users += len(found.histories)
                    self.empty += int((found.histories.lengths == 0).sum())
                    bar.update(len(found.histories))
                    yield found

    def frames(self, parts: Iterator[Histories]) -> Iterator[pd.DataFrame]:
        """The same as rows."""
        for found in self.recommended(parts):
            yield rows_of(self.trained, found)

    def shown(self, parts: Iterator[Histories]) -> str:
        """A table of the first users."""
        first = next(parts)
        frames = self.frames(iter([first.take(np.arange(min(SHOWN, len(first))))]))
        table = pd.concat(list(frames))
        self.unknown = first.unknown
        return table.to_string(index=False, float_format="{:.3f}".format)

    def sentence(self, run: Run) -> str:
        """What was done."""
        said = [f"{run.folder}: {self.args.k} items for {self.users:,} of {self.total:,} users"]
        if self.users < self.total:
            said[0] += "; --out FILE writes all"
        if self.unknown:
            said.append(f"{self.unknown:,} events of items that the model does not know were left out")
        if self.empty:
            said.append(f"{self.empty:,} histories were empty and got the most popular items")
        return "; ".join(said) + "."
