"""All that follows from the command line of a sweep, before anything is run."""

import copy
import itertools
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig, read_write

from hybrid_seq_gnn.app.arguments import Command, quoted
from hybrid_seq_gnn.app.cli import as_dict
from hybrid_seq_gnn.app.sweep.space import Conditions, parse, top
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import short_path, write_json
from hybrid_seq_gnn.results.labels import counted, words
from hybrid_seq_gnn.run.build import OF_A_SWEEP, build
from hybrid_seq_gnn.run.check import check_node
from hybrid_seq_gnn.run.identity import digest
from hybrid_seq_gnn.run.rehearse import rehearse
from hybrid_seq_gnn.study.queue import Slot, numbered_as_begun
from hybrid_seq_gnn.study.samplers import pruner
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.study.space import Space, ends, text
from hybrid_seq_gnn.study.storage import open_study, refuse_folder_of_another, without_password

ELSEWHERE = ("ray", "submitit_slurm")  # launchers of machines whose devices are not known here


@dataclass
class Plan:
    """A sweep: what varies and what exists beside what, all that there is to do, and what makes it this one."""

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
            UserError or a Hydra error: something on the command line is wrong.
        """

        def compose(overrides: list[str]) -> DictConfig:
            return hydra_context.config_loader.load_sweep_config(config, overrides)

        own = [line for line in command.overrides if top(line) == OF_A_SWEEP]
        parse(own, {})  # refuses a choice among settings of the study
        rest = [line for line in command.overrides if line not in own]
        space = parse(rest, command.variants, hydra_context.config_loader)
        refuse_overridden(command, space)
        here = config.hydra.runtime.choices["hydra/launcher"] not in ELSEWHERE
        conditions = Conditions(space, lambda overrides: as_dict(compose(overrides)), partial(rehearse, here=here))
        first = compose([*own, *conditions.overrides(conditions.product(space.options)[0])])
        settings: StudySettings = build(check_node(OF_A_SWEEP, as_dict(first)[OF_A_SWEEP]))
        if space.seeds is not None and settings.seeds > 1:
            both = f"study.seeds={settings.seeds} and seed={','.join(map(str, space.seeds))}"
            raise UserError(f"{both}: give only one.")
        first_seed = conditions.configurations()[0]["seed"]
        seeds = space.seeds or tuple(range(first_seed, first_seed + settings.seeds))
        slots = [Slot({}, seeds)] * settings.n_trials
        if not space.searched:
            each = itertools.product(conditions.points(), seeds)
            slots = [Slot(point | ({"seed": seed} if len(seeds) > 1 else {}), (seed,)) for point, seed in each]
        splits = {prepare(build(node)).split_hash for node in conditions.data()}
        identity = space.identity(conditions.configurations(), splits, seeds, settings)
        given = any(line.startswith("hydra.sweep.dir=") for line in config.hydra.overrides.hydra)
        made = "sweep" if given and settings.storage is None else space.name(identity, command.title)
        name = settings.name or made
        folder = Path(first.hydra.sweep.dir, "" if given else name).absolute()
        return cls(config, hydra_context, command, settings, conditions, slots, identity, name, folder)

    @property
    def space(self) -> Space:
        """What varies."""
        return self.conditions.space

    def most(self, setting: str) -> int:
        """The largest value of a setting of `training` in any run."""
        values = [config["training"][setting] for config in self.conditions.configurations()]
        if varied := self.space.distributions.get(f"training.{setting}"):
            values = ends(varied)
        return max(map(int, values))

    def for_runs(self) -> DictConfig:
        """Hydra's configuration, for what is started in the folder of the sweep."""
        config = copy.deepcopy(self.config)
        with read_write(config.hydra):
            config.hydra.sweep.dir = str(self.folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(self.folder))}")
        return config

    def open(self, fresh: bool = False) -> optuna.Study:
        """The study, with its pruner; the slots are numbered as it has them.

        Raises:
            UserError: the folder or the name is that of another study.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_folder_of_another(self.folder, self.name, self.identity, self.settings)
        study = open_study(self.folder, self.name, self.identity, self.settings, fresh)
        self.slots = numbered_as_begun(study, self.slots)
        study.pruner = pruner(self.settings, self.most("epochs"))
        return study

    def describe(self) -> None:
        """Write study.json: what a reader of the folder needs to open the study and to know what it asked."""
        study, space = self.settings, self.space
        about = {
            "name": self.name,
            "identity": digest(self.identity),
            "storage": without_password(study.storage) if study.storage else None,
            "question": self.command.question,
            "objective": list(study.objectives),
            "space": {key: text(distribution) for key, distribution in space.distributions.items()},
            "variants": {label: " ".join(lines) for label, lines in space.variants.items()},
            "fixed": list(space.fixed),
            "seeds": list(space.seeds) if space.seeds is not None else study.seeds,
            "searched": space.searched,
            "n_trials": study.n_trials if space.searched else None,
            "sampler": study.sampler if space.searched else None,
            "pruner": study.pruner,
            "command": shlex.join(["python", "-m", "hybrid_seq_gnn", *map(without_password, self.command.typed)]),
        }
        write_json(self.folder / "study.json", about)

    def outline(self) -> str:
        """What would be run: every point, or what is searched."""
        where = f"in {short_path(self.folder)}; study.dry_run=true runs nothing."
        if self.space.searched:
            seeds = f", each with {len(self.slots[0].seeds)} seeds" if len(self.slots[0].seeds) > 1 else ""
            space = [f"  {name}: {text(distribution)}" for name, distribution in self.space.distributions.items()]
            return "\n".join([f"{len(self.slots)} trials of a search{seeds}, {where}", *space])
        points = [f"  {number}: {words(slot.params.items()) or 'one run'}" for number, slot in enumerate(self.slots)]
        return "\n".join([f"{counted(len(points), 'run')} {where}", *points])


def refuse_overridden(command: Command, space: Space) -> None:
    """Refuse what was typed where every variant of the study sets it otherwise.

    Raises:
        UserError: it would have no effect.
    """
    of_variants = [{key_of(line): line for line in lines} for lines in space.variants.values()]
    for line in command.typed:
        if of_variants and all(key_of(line) in keys for keys in of_variants):
            raise UserError(f"{line} would have no effect: every variant sets it ({of_variants[0][key_of(line)]}, …).")


def key_of(line: str) -> str:
    """The setting of an override."""
    return line.lstrip("+").partition("=")[0]
