"""A sweep as an Optuna study on ask and tell: every point once, failures recorded, a killed sweep taken up again.

Ours differs from hydra-optuna-sweeper, whose parsing it uses: a grid has exactly its points whatever n_trials says; a
failed run does not end the sweep; what is finished is not run again, a run that was killed goes on in its folder, and
several processes may serve one study.
"""

import copy
import itertools
import json
import logging
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from hydra.core.utils import configure_log
from hydra.types import HydraContext
from hydra_plugins.hybrid_seq_gnn_sweeper import _board
from hydra_plugins.hybrid_seq_gnn_sweeper._launchers import (
    IN_THIS_PROCESS,
    launched,
    launcher_for,
    launcher_of,
    number_of_workers,
    telling,
)
from hydra_plugins.hybrid_seq_gnn_sweeper._samplers import pruner
from hydra_plugins.hybrid_seq_gnn_sweeper._space import Conditions, Space, choices, parse, plain, text, top
from hydra_plugins.hybrid_seq_gnn_sweeper._store import (
    describe,
    identity,
    name_of,
    open_study,
    software,
)
from hydra_plugins.hybrid_seq_gnn_sweeper._trials import COMPLETE, Count, Slot, count, fill
from hydra_plugins.hybrid_seq_gnn_sweeper._worker import TooManyFailures, Worker
from omegaconf import DictConfig, open_dict, read_write

from hybrid_seq_gnn.app.arguments import TYPED, quoted
from hybrid_seq_gnn.app.cli import explain
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.files import locked
from hybrid_seq_gnn.run.build import OF_A_SWEEP, build, checked
from hybrid_seq_gnn.run.check import check_node
from hybrid_seq_gnn.study.settings import StudySettings

log = logging.getLogger(__name__)


@dataclass
class Sweep:
    """All that follows from a command line, before anything is run.

    Attributes:
        config, hydra_context: as Hydra gave them to the sweeper.
        settings: of the group `study`.
        conditions: the space, and what exists beside what.
        slots: all that there is to do.
        identity: what makes this sweep this one.
        name: of the study.
        folder: of the sweep.
    """

    config: DictConfig
    hydra_context: HydraContext
    settings: StudySettings
    conditions: Conditions
    slots: list[Slot]
    identity: dict[str, str]
    name: str
    folder: Path

    @classmethod
    def plan(cls, config: DictConfig, hydra_context: HydraContext, arguments: list[str]) -> "Sweep":
        """Compose every combination of options, so that a mistyped setting is said now and not after hours.

        Raises:
            ValueError or a Hydra error: something on the command line is wrong.
        """

        def compose(overrides: list[str]) -> DictConfig:
            return hydra_context.config_loader.load_sweep_config(config, overrides)

        own = [argument for argument in arguments if top(argument) == OF_A_SWEEP]
        arguments = [argument for argument in arguments if argument not in own]
        parse(own)  # refuses a choice among settings of the study
        settings: StudySettings = build(check_node(OF_A_SWEEP, plain(compose(own))[OF_A_SWEEP]))
        space = parse(arguments, settings.variants)
        conditions = Conditions(space, compose)
        first = conditions.configurations()[0]
        if space.seeds is not None and settings.seeds > 1:
            raise ValueError(f"study.seeds={settings.seeds} and seed={','.join(map(str, space.seeds))}: give only one.")
        seeds = space.seeds or tuple(range(first["seed"], first["seed"] + settings.seeds))
        if space.searched:
            slots = [Slot({}, seeds)] * settings.n_trials
        else:
            slots = [
                Slot({**point, "seed": seed} if len(seeds) > 1 else point, (seed,))
                for point in conditions.points()
                for seed in seeds
            ]
        mine = identity(space, conditions.configurations(), splits(conditions), seeds, settings)
        folder, name = Path(config.hydra.sweep.dir), settings.name
        if any(given.startswith("hydra.sweep.dir=") for given in config.hydra.overrides.hydra):
            name = name or ("sweep" if settings.storage is None else name_of(space, mine, settings.title))
        else:
            name = name or name_of(space, mine, settings.title)
            folder = folder / name
        return cls(config, hydra_context, settings, conditions, slots, mine, name, folder.absolute())

    @property
    def space(self) -> Space:
        """What varies."""
        return self.conditions.space

    def open(self) -> optuna.Study:
        """The study, and its pruner."""
        study = open_study(self.folder, self.name, self.identity, self.settings)
        epochs = max(int(config["training"]["epochs"]) for config in self.conditions.configurations())
        study.pruner = pruner(self.settings, epochs)
        return study

    def worker(self, study: optuna.Study, quiet: bool) -> Worker:
        """A process at work on it: this one."""
        config = copy.deepcopy(self.config)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.sweep.dir = str(self.folder)
        return Worker(config, self.hydra_context, study, self.settings, self.conditions, self.slots, self.folder, quiet)


def splits(conditions: Conditions) -> set[str]:
    """Hashes of the data sets of a sweep, each prepared now: a file that is not there is said before the first run."""
    space = conditions.space
    of_data = {name: choices(space.distributions[name]) for name in space.distributions if top(name) == "data"}
    nodes = {json.dumps(config["data"], sort_keys=True): config["data"] for config in conditions.configurations()}
    if of_data:
        nodes = {}
        varying = {name: choices(space.distributions[name]) for name in space.options} | of_data
        for values in itertools.product(*varying.values()):
            overrides = conditions.overrides(dict(zip(varying, values, strict=True)))
            node = checked(plain(conditions.compose(overrides)))["data"]
            nodes[json.dumps(node, sort_keys=True)] = node
    return {prepare(build(node)).split_hash for node in nodes.values()}


def run_study(config: DictConfig, hydra_context: HydraContext, arguments: list[str]) -> optuna.Study | None:
    """Run every trial that is not finished yet, then show the leaderboard.

    Raises:
        ValueError: the study is over other settings, or a setting is wrong.
        RuntimeError: all runs failed, or more than study.max_failures did.
    """
    configure_log(
        config.hydra.hydra_logging, config.hydra.verbose, execution_whitelist=hydra_context.execution_whitelist
    )
    sweep = Sweep.plan(config, hydra_context, arguments)
    workers = number_of_workers(config, sweep.settings)
    settings, folder = sweep.settings, sweep.folder
    if settings.dry_run:
        log.info("%s", outline(sweep))
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        study = sweep.open()
        command = shlex.join(["python", "-m", "hybrid_seq_gnn", *TYPED])
        describe(folder, sweep.name, sweep.space, settings, command)
        fill(study, sweep.slots, settings.retry_failed, settings.grace)
    now = count(study)
    log.info("sweep: %s, in %s", state(now), shown(folder))
    warn_other_software(study)
    failure = None
    try:
        if workers == 1 and launcher_of(config) == IN_THIS_PROCESS:
            sweep.worker(study, quiet=False).work()
        elif now.ended < now.total:
            serve(sweep, study, arguments, workers)
    except TooManyFailures as error:
        failure = str(error)
    except KeyboardInterrupt:
        _board.write_board(study, settings, folder, final=True)
        log.info("interrupted: %s; the same command goes on from there.", state(count(study)))
        raise
    board = _board.write_board(study, settings, folder, final=True)
    log.info("\n%s\n\nwritten to %s and leaderboard.csv", board, shown(folder / "leaderboard.md"))
    now = count(study)
    if failure is None and now.total and now.failed == now.total:
        trials = [trial for trial in study.get_trials(deepcopy=False) if "error" in trial.user_attrs]
        failure = f"all {now.total} runs failed; the last one: {trials[-1].user_attrs['error']}"
    if failure is not None:
        raise RuntimeError(failure)
    return study


def outline(sweep: Sweep) -> str:
    """What a sweep would run: every point, or what is searched."""
    where = f"in {shown(sweep.folder)}; study.dry_run=true runs nothing."
    if sweep.space.searched:
        seeds = f", each with {len(sweep.slots[0].seeds)} seeds" if len(sweep.slots[0].seeds) > 1 else ""
        space = [f"  {name}: {text(distribution)}" for name, distribution in sweep.space.distributions.items()]
        return "\n".join([f"{len(sweep.slots)} trials of a search{seeds}, {where}", *space])
    points = [f"  {number}: {_board.named(slot.params) or 'one run'}" for number, slot in enumerate(sweep.slots)]
    return "\n".join([f"{len(points)} runs {where}", *points])


def state(now: Count) -> str:
    """How far a sweep is, to read."""
    rest = [(now.pruned, "pruned"), (now.failed, "failed"), (now.running, "running")]
    return f"{now.done} done" + "".join(f", {n} {word}" for n, word in rest if n) + f", {now.waiting} to run"


def shown(path: Path) -> str:
    """A path as short as it can be said."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def warn_other_software(study: optuna.Study) -> None:
    """Say so where finished trials were made by another version or commit."""
    now = software()
    others = [
        made
        for trial in study.get_trials(deepcopy=False, states=(COMPLETE,))
        if (made := trial.user_attrs.get("software"))
        and (made["version"], made["commit"]) != (now["version"], now["commit"])
    ]
    if others:
        log.warning(
            "%d of the finished trials were made by version %s, commit %s; this is version %s, commit %s. "
            "study.fresh=true starts anew.",
            len(others),
            others[0]["version"],
            str(others[0]["commit"])[:12],
            now["version"],
            str(now["commit"])[:12],
        )


@dataclass
class Serve:
    """What a launcher runs in each of its processes or tasks: one worker of the sweep.

    Attributes:
        config, hydra_context, arguments: as Hydra gave them to the sweeper.
        command: sys.argv of the sweep; a task of Ray or submitit would have that of Ray or submitit.
        typed: the arguments as the user wrote them.
        here: the working folder, from which paths count; a task of Ray starts in the folder in which its node started.
    """

    config: DictConfig
    hydra_context: HydraContext
    arguments: list[str]
    command: list[str] = field(default_factory=lambda: list(sys.argv))
    typed: list[str] = field(default_factory=lambda: list(TYPED))
    here: Path = field(default_factory=Path.cwd)

    def __call__(self, _: DictConfig) -> None:
        """Plan the same sweep again and serve its queue; the settings that start it anew were heeded already.

        Raises:
            RuntimeError: this worker alone was interrupted; a KeyboardInterrupt would end the launcher.
        """
        sys.argv[:], TYPED[:] = self.command, self.typed
        if self.here.is_dir():  # a machine with another disk may lack it
            os.chdir(self.here)
        arguments = [argument for argument in self.arguments if not argument.startswith("study.fresh=")]
        sweep = Sweep.plan(self.config, self.hydra_context, arguments)
        sweep.folder.mkdir(parents=True, exist_ok=True)
        try:
            sweep.worker(sweep.open(), quiet=True).work()
        except KeyboardInterrupt:
            raise RuntimeError("it was interrupted") from None


def serve(sweep: Sweep, study: optuna.Study, arguments: list[str], workers: int) -> None:
    """Have a launcher start workers, again where some died, until nothing is left to do.

    Raises:
        TooManyFailures: see study.max_failures.
        RuntimeError: the workers end without having done anything.
    """
    task = Serve(sweep.config, sweep.hydra_context, arguments)
    name = launcher_of(sweep.config)
    launcher = launcher_for(sweep.worker(study, quiet=True).config, sweep.hydra_context, task, workers)
    job = [f"hydra.sweep.dir={quoted(str(sweep.folder))}", "hydra.sweep.subdir=.", "hydra/job_logging=worker"]
    while (before := count(study)).ended < before.total:
        tries = len(study.get_trials(deepcopy=False))
        log.info("%d workers by hydra/launcher=%s", workers, name)
        with telling(study, sweep.settings, name):
            reasons = launched(launcher, [job] * workers)
        if over := [reason for reason in reasons if isinstance(reason, TooManyFailures)]:
            raise over[0]
        with locked(sweep.folder / ".lock"):
            fill(study, sweep.slots, False, sweep.settings.grace)
        if (count(study), len(study.get_trials(deepcopy=False))) == (before, tries):
            why = explain(reasons[0]) if reasons else "they find no work in the study; do they see the same disk?"
            raise RuntimeError(f"the workers end without running anything: {why}")
        for reason in reasons:
            log.warning("a worker ended early: %s", explain(reason))
