"""The command line: compose a configuration, run it, and say in one message what went wrong."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_seq_gnn.app.arguments import MULTIRUN, Command, last_of_each
from hybrid_seq_gnn.app.help import help_text
from hybrid_seq_gnn.app.processes import one_of_several
from hybrid_seq_gnn.app.run_folder import remove_if_refused
from hybrid_seq_gnn.errors import end, message_of, printable
from hybrid_seq_gnn.files import package_folder, short_path
from hybrid_seq_gnn.output import keep_output

HYDRA_MAY_CREATE = ("logging.*", "hybrid_seq_gnn.app.run_folder.*")


@dataclass(frozen=True)
class Program:
    """What Hydra is given to run: it calls it for one run, and hands it to the sweeper for a sweep."""

    command: Command

    def __call__(self, config: DictConfig) -> float:
        """One run."""
        try:
            return job_of(config)
        except Exception as error:
            remove_if_refused()
            self.stop(error)

    def stop(self, error: BaseException) -> NoReturn:
        """End with one message; with the traceback if it is a fault of ours, or if the user asked for it."""
        if "debug=true" in map(str.lower, self.command.arguments):
            raise error
        end(error, explain(error, self.command.arguments))


def job_of(config: DictConfig, watch: Callable[[list[dict[str, Any]]], None] | None = None) -> float:
    """The run itself. PyTorch is imported here and not before, so that --help costs nothing.

    Args:
        config: as Hydra composed it.
        watch: is told the records of all epochs so far, after each; what it raises ends the run.
    """
    from hybrid_seq_gnn.results.run_table import run_table
    from hybrid_seq_gnn.run.build import checked
    from hybrid_seq_gnn.run.encoders import option_of
    from hybrid_seq_gnn.run.options import warn_unused
    from hybrid_seq_gnn.run.rehearse import rehearse
    from hybrid_seq_gnn.run.run import Asked, Run

    settings = HydraConfig.get()
    overrides = list(settings.overrides.task)
    whole = checked(as_dict(config), overrides)
    warn_unused(whole, overrides)
    if watch is None:  # the plan of a sweep has done so
        rehearse(whole)
    options = {key: str(value) for key, value in settings.runtime.choices.items() if key in whole}
    options["training"] = option_of(whole["training"])  # a model without a fusion has another one than was chosen
    place = Path(settings.runtime.output_dir)
    with chdir(settings.runtime.cwd):  # relative paths are those of the command, also with hydra.job.chdir=true
        results = Run(whole, place, Asked(overrides, options, watch))()
    if "config" in results:  # the first of several processes
        logging.getLogger(__name__).info("\n%s\nwritten to %s", printable(run_table(results)), short_path(place))
    return float(results["best_val_metric"])


def as_dict(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, without Hydra's own."""
    held = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = OmegaConf.to_container(held, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def main() -> None:
    """Entry point of `python -m hybrid_seq_gnn`."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors to us instead of printing them its own way
    keep_output()
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text())
        return
    typed = sys.argv[1:]
    try:
        program = Program(Command.read(typed))
    except Exception as error:
        Program(Command(typed, typed)).stop(error)
    prepared = hydra.main(
        config_path=str(package_folder("conf")), config_name="config", execution_whitelist=HYDRA_MAY_CREATE
    )
    with one_of_several(program.command.arguments) as silence:
        given = program.command.for_hydra
        sys.argv[1:] = last_of_each([*given, *silence]) if silence else given
        try:
            prepared(program)()
        except KeyboardInterrupt:
            sys.exit("\ninterrupted; the same command with the same output folder goes on from there.")
        except Exception as error:
            program.stop(error)


def explain(error: BaseException, arguments: list[str]) -> str | None:
    """One message in the words of the command line, whose arguments say which settings there are; None for a fault."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        from hybrid_seq_gnn.app.compose_errors import explain_composition

        return explain_composition(error, arguments)
    return message_of(error, "hydra.sweep.dir" if MULTIRUN & set(arguments) else "hydra.run.dir")


def explain_trial(error: BaseException) -> str:
    """One line about a run of a sweep that failed."""
    return explain(error, ["-m"]) or f"{type(error).__name__}: {error} (train.log of the run shows where)"
