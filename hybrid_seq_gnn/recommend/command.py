"""The command `recommend`: from a run and histories to a file or a table."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_seq_gnn.bars import tqdm
from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.results.labels import counted
from hybrid_seq_gnn.run.options import changed, read_setting
from hybrid_seq_gnn.use.histories import EVERYONE, Histories, of_source, of_training, typed
from hybrid_seq_gnn.use.load import Trained, choose, load_trained
from hybrid_seq_gnn.use.parts import Recommend, files_of, histories_in, new_folder, on_ray, require_known, rows_in
from hybrid_seq_gnn.use.recommend import recommend
from hybrid_seq_gnn.use.table import check_ending, rows_of, writer
from hybrid_seq_gnn.use.titles import titles_of

SHOWN = 10  # users in a table on the terminal


def run(args: argparse.Namespace) -> str:
    """Recommend, write, and return what to print."""
    check(args)
    chosen = choose(args.run)
    if args.engine == "ray":
        paths = files_of(args.histories)
        users = rows_in(paths)
        require_known(paths, load_trained(chosen, "cpu"))  # it fails here, and not on every worker
        arguments = (str(chosen.folder.resolve()), args.k, args.include_seen, args.explain, args.titles, args.device)
        with new_folder(args.out) as folder:
            on_ray([str(Path(path).resolve()) for path in paths], Recommend, arguments, args.address, folder)
        return f"{chosen.folder}: {counted(args.k, 'item')} for {counted(users, 'user')}.\nwritten to {args.out}"
    trained = load_trained(chosen, args.device)
    titles = titles_of(trained.config["data"], args.titles, trained.item_ids)
    histories, total = asked(args, trained)
    if args.out is None:
        first = next(histories)
        some = first.take(np.arange(min(SHOWN, len(first))))
        tally = Tally(args, trained, titles, len(some))
        shown = pd.concat(list(tally.frames(iter([some])))).to_string(index=False, float_format="{:.3f}".format)
        more = f" The first of {total:,}; --out FILE writes all." if len(some) < total else ""
        return f"{shown}\n\n{chosen.folder}: {tally.sentence()}{more}"
    tally = Tally(args, trained, titles, total)
    with writer(args.out) as write:
        for frame in tally.frames(histories):
            write(frame)
    return f"{chosen.folder}: {tally.sentence()}\nwritten to {args.out}"


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    kinds = {"--users": args.users, "--history": args.history, "--histories": args.histories, "data.…": args.settings}
    if len(given := [name for name, value in kinds.items() if value]) > 1:
        raise UserError(f"{' and '.join(given)} both say for whom to recommend; give one of them.")
    for word in args.settings:
        name, value = read_setting("data", word)
        if value != EVERYONE.get(name, value):
            raise UserError(
                f"{word} has no effect: all users of another log are recommended for, after all their events. Leave it "
                "out, or filter the file."
            )
    if args.before != "now" and (args.history or args.histories or args.settings):
        raise UserError(f"--before {args.before} is for users of the training data.")
    if args.engine == "ray" and (args.histories is None or args.out is None or args.shard):
        raise UserError(
            "--engine ray reads Parquet parts and writes others: it needs --histories FILES and --out FOLDER."
        )
    if args.out is not None and args.engine != "ray":
        check_ending(args.out)


def asked(args: argparse.Namespace, trained: Trained) -> tuple[Iterator[Histories], int]:
    """The histories that were asked for, in parts, and the number of users."""
    if args.histories is not None:
        paths = files_of(args.histories)
        rows = require_rows(share(args.shard, rows_in(paths)), args.shard)
        require_known(paths, trained)
        return histories_in(paths, trained, rows), len(rows)
    if args.history:
        found = typed(trained, read_history(trained, args.history))
    elif args.settings:
        found = of_source(trained, changed("data", trained.config["data"], args.settings))
    else:
        found = of_training(trained, read_users(args.users), args.before)
    rows = require_rows(share(args.shard, len(found)), args.shard)
    return iter([found.take(rows) if args.shard else found]), len(rows)


def require_rows(rows: np.ndarray, shard: str | None) -> np.ndarray:
    """The rows; a UserError if there is none."""
    if not len(rows):
        raise UserError(
            "there is nobody to recommend for" + (f" in --shard {shard}: it has no users." if shard else ".")
        )
    return rows


def read_history(trained: Trained, words: Sequence[str]) -> list[str]:
    """Item ids from `--history`: one id each, or texts with spaces or commas between them, whichever are known."""

    def known(way: list[str]) -> int:
        return int((trained.numbers(way) > 0).sum())

    found: list[str] = []
    for word in words:
        spaces, commas = word.split(), re.findall(r"[^,\s]+", word)
        parts = commas if known(commas) > known(spaces) else spaces
        found += [word] if known([word]) or (len(words) > 1 and not known(parts)) else parts
    return found


def read_users(text: str | None) -> list[str] | None:
    """User ids from `--users`; None means all."""
    if text is None or text == "all":
        return None
    if os.path.isfile(text):
        with as_user_error(f"--users {text} cannot be read"):
            lines = Path(text).read_text(encoding="utf-8-sig").splitlines()  # it may begin with a byte-order mark
            return [one for line in lines if (one := line.strip())]
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


class Tally:
    """Recommendations as frames, with a progress bar on a terminal, and what is to be said about them.

    Args:
        args: of the command.
        trained: the model.
        titles: by item id.
        total: number of users.
    """

    def __init__(self, args: argparse.Namespace, trained: Trained, titles: dict[int | str, str], total: int) -> None:
        self.args, self.trained, self.titles, self.total = args, trained, titles, total
        self.empty = self.unknown = self.short = 0

    def frames(self, parts: Iterator[Histories]) -> Iterator[pd.DataFrame]:
        """Rows of recommendations, part by part."""
        include_seen = self.args.include_seen or not self.trained.mask_history
        with tqdm(total=self.total, unit=" users", disable=None, leave=False) as bar:
            for part in parts:
                self.unknown += part.unknown
                for found in recommend(self.trained, part, self.args.k, include_seen=include_seen):
                    self.empty += int((found.histories.lengths == 0).sum())
                    self.short += int((found.items == 0).any(1).sum())
                    bar.update(len(found.histories))
                    yield rows_of(self.trained, found, self.titles, self.args.explain)

    def sentence(self) -> str:
        """What was done."""
        up_to, k = "up to " if self.short else "", self.args.k
        said = [f"{up_to}{counted(k, 'item')} for {counted(self.total, 'user')}"]
        if self.short:
            few = f"{counted(self.short, 'user')} had fewer than {counted(k, 'candidate')} left"
            said.append(f"{few} (--include-seen adds those of the history)")
        if self.unknown:
            were = "was" if self.unknown == 1 else "were"
            said.append(f"{counted(self.unknown, 'event')} of items that the model does not know {were} left out")
        if self.empty:
            were = "was" if self.empty == 1 else "were"
            said.append(f"{counted(self.empty, 'history')} {were} empty and got the most popular items")
        return "; ".join(said) + "."
