"""All that follows from the command line of a sweep, before anything is run."""

import copy
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra.types import HydraContext
from hydra_plugins.hybrid_seq_gnn_sweeper._space import Conditions, Config, parse, top
from omegaconf import DictConfig, OmegaConf, read_write

from hybrid_seq_gnn.app.arguments import Command, quoted
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.files import shown
from hybrid_seq_gnn.run.build import OF_A_SWEEP, build
from hybrid_seq_gnn.run.check import check_node
from hybrid_seq_gnn.study.progress import named
from hybrid_seq_gnn.study.queue import Slot
from hybrid_seq_gnn.study.samplers import pruner
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.study.space import Space, text
from hybrid_seq_gnn.study.storage import open_study


@dataclass
class Plan:
    """A sweep.

    Attributes:
        config, hydra_context: as Hydra gave them to the sweeper.
        command: as it was given.
        settings: of the group `study`.
        conditions: the space, and what exists beside what.
        slots: all that there is to do.
        identity: what makes this sweep this one.
        name: of the study.
        folder: of the sweep.
    """

    config: DictConfig
    hydra_context: HydraContext
    command: Command
    settings: StudySettings
    conditions: Conditions
    slots: list[Slot]
    identity: dict[str, str]
    name: str
    folder: Path

    @classmethod
    def of(cls, config: DictConfig, hydra_context: HydraContext, command: Command) -> "Plan":
        """Compose every combination of options, so that a mistyped setting is said now and not after hours.

        Raises:
            ValueError or a Hydra error: something on the command line is wrong.
        """

        def compose(overrides: list[str]) -> Config:
            return plain(hydra_context.config_loader.load_sweep_config(config, overrides))

        own = [line for line in command.overrides if top(line) == OF_A_SWEEP]
        parse(own)  # refuses a choice among settings of the study
        settings: StudySettings = build(check_node(OF_A_SWEEP, compose(own)[OF_A_SWEEP]))
        rest = [line for line in command.overrides if line not in own]
        space = parse(rest, command.variants, hydra_context.config_loader)
        conditions = Conditions(space, compose)
        seeds = seeds_of(space, settings, conditions.configurations()[0]["seed"])
        splits = {prepare(build(node)).split_hash for node in conditions.data()}
        identity = space.identity(conditions.configurations(), splits, seeds, settings)
        first = conditions.overrides(conditions.product(space.options)[0])
        hydra = hydra_context.config_loader.load_sweep_config(config, first).hydra
        folder, name = Path(hydra.sweep.dir), settings.name
        if any(given.startswith("hydra.sweep.dir=") for given in config.hydra.overrides.hydra):
            name = name or ("sweep" if settings.storage is None else space.name(identity, command.title))
        else:
            name = name or space.name(identity, command.title)
            folder = folder / name
        slots = slots_of(conditions, settings, seeds)
        return cls(config, hydra_context, command, settings, conditions, slots, identity, name, folder.absolute())

    @property
    def space(self) -> Space:
        """What varies."""
        return self.conditions.space

    @property
    def epochs(self) -> int:
        """Most steps of one run, for the pruner."""
        return max(int(config["training"]["epochs"]) for config in self.conditions.configurations())

    def for_runs(self) -> DictConfig:
        """Hydra's configuration, for what is started in the folder of the sweep."""
        config = copy.deepcopy(self.config)
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(self.folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(self.folder))}")
        return config

    def open(self, fresh: bool = False) -> optuna.Study:
        """The study, and its pruner."""
        self.folder.mkdir(parents=True, exist_ok=True)
        study = open_study(self.folder, self.name, self.identity, self.settings, fresh)
        study.pruner = pruner(self.settings, self.epochs)
        return study

    def outline(self) -> str:
        """What would be run: every point, or what is searched."""
        where = f"in {shown(self.folder)}; study.dry_run=true runs nothing."
        if self.space.searched:
            seeds = f", each with {len(self.slots[0].seeds)} seeds" if len(self.slots[0].seeds) > 1 else ""
            space = [f"  {name}: {text(distribution)}" for name, distribution in self.space.distributions.items()]
            return "\n".join([f"{len(self.slots)} trials of a search{seeds}, {where}", *space])
        points = [f"  {number}: {named(slot.params) or 'one run'}" for number, slot in enumerate(self.slots)]
        return "\n".join([f"{len(points)} runs {where}", *points])


def plain(config: DictConfig) -> Config:
    """A configuration as plain values, without Hydra's own."""
    held = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = OmegaConf.to_container(held, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def seeds_of(space: Space, settings: StudySettings, first: int) -> tuple[int, ...]:
    """The seeds of the repeats.

    Raises:
        ValueError: they are given twice.
    """
    if space.seeds is None:
        return tuple(range(first, first + settings.seeds))
    if settings.seeds > 1:
        raise ValueError(f"study.seeds={settings.seeds} and seed={','.join(map(str, space.seeds))}: give only one.")
    return space.seeds


def slots_of(conditions: Conditions, settings: StudySettings, seeds: tuple[int, ...]) -> list[Slot]:
    """All that there is to do: the trials of a search, each with all seeds; or each point of a grid with each seed."""
    if conditions.space.searched:
        return [Slot({}, seeds)] * settings.n_trials
    return [
        Slot({**point, "seed": seed} if len(seeds) > 1 else point, (seed,))
        for point in conditions.points()
        for seed in seeds
    ]
