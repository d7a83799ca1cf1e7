"""The finished runs that paths name. What merely lies among others and cannot be used is left out and said."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.results.runs import FinishedRun, read_run

TRACES = {"results.json", "train.log", "metrics.jsonl", "checkpoint.pt"}  # of a run that has begun


class Loaded(NamedTuple):
    """Finished runs, each folder once, and a sentence for everything that lay there and could not be used."""

    runs: list[FinishedRun]
    left_out: list[str]


def load(paths: Iterable[str | Path]) -> Loaded:
    """The runs that `paths` name: run folders, sweep folders, any folder above them, or globs.

    Raises:
        UserError: a path leads to no run, or names a run that is half written or damaged.
    """
    runs: dict[Path, FinishedRun] = {}
    problems: dict[Path, tuple[Path, str]] = {}
    for path in paths:
        folders, some = expand(path), False
        for folder in folders:
            for place in run_folders(folder):
                try:
                    runs.setdefault(place.resolve(), read_run(place))
                    some = True
                except ValueError as error:
                    if place == folder and len(folders) == 1:
                        raise
                    problems.setdefault(place.resolve(), (place, str(error)))
        if not some:
            raise UserError(f"{path}: no finished run. " + " ".join(message for _, message in problems.values()))
    return Loaded(list(runs.values()), in_sentences(list(problems.values())))


def in_sentences(problems: list[tuple[Path, str]]) -> list[str]:
    """What is wrong with each folder; the pruned runs of a sweep, which may be many, in one sentence."""
    unfinished = Counter(place.parent for place, _ in problems if not (place / "results.json").exists())
    many = {folder: count for folder, count in unfinished.items() if count > 1}
    said = [text for place, text in problems if place.parent not in many or (place / "results.json").exists()]
    return said + [
        f"{folder}: {count} runs have no results.json: they were pruned, failed or have not finished; "
        "leaderboard.md of a sweep says which."
        for folder, count in many.items()
    ]


def expand(path: str | Path) -> list[Path]:
    """The folders that a path or a glob names, in the order of their numbers."""
    matches = [path] if os.path.exists(path) else glob.glob(os.path.expanduser(path), recursive=True)
    places = [Path(match) for match in matches]
    folders = {place.parent if place.name == "results.json" else place for place in places}
    if not os.path.exists(path):
        folders = {folder for folder in folders if folder.is_dir()}
    if not folders:
        raise UserError(f"{path}: there is no such folder. Expected run folders, sweep folders or a glob of them.")
    return sorted(folders, key=by_number)


def by_number(path: Path) -> list[tuple[int, str]]:
    """A sort key by which 10_seed0 comes after 9_seed0."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def run_folders(folder: Path) -> list[Path]:
    """The folder itself if a run was begun in it, else all such folders below it, at any depth.

    Raises:
        UserError: there is none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; expected a run folder, a sweep folder or a glob of them.")
    found = []
    for here, folders, files in os.walk(folder):
        begun = not TRACES.isdisjoint(files)
        found += [Path(here)] if begun else []
        folders[:] = [] if begun else [name for name in folders if not name.startswith(".")]
    if not found:
        raise UserError(f"{folder} holds no run: there is no results.json in it or below it.")
    return sorted(found, key=by_number)
