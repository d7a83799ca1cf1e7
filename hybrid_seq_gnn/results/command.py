"""What the commands beside the main one share: arguments, filters, and one message when something is wrong."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from hybrid_seq_gnn.errors import UserError, end, message_of, printable, suggest
from hybrid_seq_gnn.limits import refuse_bytes
from hybrid_seq_gnn.output import keep_output
from hybrid_seq_gnn.results.labels import value_in_words
from hybrid_seq_gnn.results.runs import FinishedRun

MOST = 10_000_000  # resamples


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors read like all others of this program."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        keep_output()  # the first that a command does
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        sys.exit(f"error: {message}. ({self.prog} --help shows the options.)")

    def add_draws(self) -> None:
        """The arguments of bootstrap and permutation test."""
        many = argument_type(int, lambda value: 100 <= value <= MOST, "a whole number from 100 to ten million")
        seed = argument_type(int, lambda value: value >= 0, "a whole number from 0 up")
        self.add_argument("--resamples", type=many, default=10_000, help="of users and of signs (%(default)s)")
        self.add_argument("--seed", type=seed, default=0, help="of the resamples (%(default)s)")

    def add_output(self, name: str) -> None:
        self.add_argument("--output", type=Path, default=Path("outputs") / name, metavar="FOLDER", help="(%(default)s)")

    def add_engine(self) -> None:
        """The arguments of a command that reads Parquet parts, here or on a cluster."""
        help_text = "ray: workers of a Ray cluster read and write Parquet parts (--histories)"
        self.add_argument("--engine", choices=("here", "ray"), default="here", help=help_text)
        self.add_argument("--address", help="of a running Ray cluster; without it, --engine ray starts one here")
        scratch = "a folder that all nodes of the cluster see, for parts on their way (the current one)"
        self.add_argument("--scratch", type=Path, default=Path(), metavar="FOLDER", help=scratch)


def run(module: str, args: argparse.Namespace) -> None:
    """Print what `run(args)` of a module says. What input or machine can cause ends it with one message.

    Args:
        module: imported here and not before, so that --help costs nothing.
    """
    try:
        for value in vars(args).values():
            refuse_bytes(str(value))
        print(printable(import_module(module).run(args)))
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted.")
    except Exception as error:
        end(error, message_of(error, "--out" if hasattr(args, "out") else "--output"))


def names(text: str) -> list[str]:
    """a,b,c as a list, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def argument_type(read: Callable[[str], Any], holds: Callable[[Any], bool], what: str) -> Callable[[str], Any]:
    """The type of an argument that `read` reads and for which `holds` holds; `what` says so in words."""

    def value(text: str) -> Any:
        with suppress(ValueError):
            if holds(found := read(text)):
                return found
        raise argparse.ArgumentTypeError(f"{text} is not {what}")

    return value


def require(chosen: Sequence[str], known: Sequence[str], what: str) -> None:
    """Refuse a name that is not one of those known, and to choose nothing.

    Raises:
        UserError: names it, a near one, and all of them.
    """
    if not chosen:
        raise UserError(f"{what} is empty. There is {', '.join(known)}.")
    for name in chosen:
        if name not in known:
            raise UserError(f"{what}: there is no {name}. {suggest(name, known)}There is {', '.join(known) or 'none'}.")


def select(runs: Sequence[FinishedRun], filters: Iterable[str], option: str) -> list[FinishedRun]:
    """The runs that satisfy all filters.

    Args:
        filters: `KEY=VALUE[,VALUE]` by an option or a setting: `model=sasrec`, `fusion.alpha=0.3,0.5`, `name=base`.
            A value that a run has as it stands, such as `name=plain, decayed`, is not split at its commas.
        option: what the filters were given with, for messages.

    Raises:
        UserError: a filter is none, no run has such a key, or nothing is left.
    """
    kept = list(runs)
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise UserError(f"{option} {text}: expected KEY=VALUE, as in model=sasrec or fusion.alpha=0.3.")
        known = list(dict.fromkeys(key for run in runs for key in run.every_setting))
        if key not in known:
            groups = ", ".join(key for key in known if "." not in key)
            raise UserError(
                f"{option} {text}: no run has {key}. {suggest(key, known)}Options: {groups}; or any setting, as "
                "config.yaml of a run shows them."
            )
        having = [run for run in kept if key in run.every_setting or key == "name"]  # every run may have a name
        wanted = [value] if any(same(run.every_setting.get(key), value) for run in having) else names(value)
        kept = [run for run in having if any(same(run.every_setting.get(key), one) for one in wanted)]
        if not kept:
            there = ",".join(dict.fromkeys(value_in_words(run.every_setting.get(key)) for run in having))
            among = f"There is {key}={there}." if having else f"Of the runs that other filters leave, none has {key}."
            raise UserError(f"{option} {text}: no run has that. {among}")
    return kept


def same(value: Any, text: str) -> bool:
    """Whether a setting has the value that was typed: 0.30 is 0.3."""
    if text in (str(value), value_in_words(value)):
        return True
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and float(text) == value
    except ValueError:
        return False
