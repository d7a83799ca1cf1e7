"""Finished runs of encoders alone, shared by all runs that start from one.

A post hoc hybrid's first stage is the run of its encoder alone (`model=sasrec` with the same settings, data and seed).
So it is one: a complete run folder, found again by its address (see `identity.address`), which holds all that its bits
depend on. The baseline of the hybrid is that run.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_seq_gnn.run.build import without_fusion
from hybrid_seq_gnn.run.check import target_class
from hybrid_seq_gnn.run.identity import Config, address
from hybrid_seq_gnn.run.record import read_results

if TYPE_CHECKING:
    from hybrid_seq_gnn.run.run import Run

OUTPUTS = Path("outputs")
SHARED = ("data", "loss", "negatives", "evaluation", "training", "model", "seed", "experiment")


def config_alone(config: Config) -> Config | None:
    """The configuration of a model's encoder alone; None for a model that is not built around one."""
    alone = getattr(target_class("model", config["model"]), "encoder_alone", None)
    if alone is None:
        return None
    training = without_fusion(config["training"])
    return {**config, "model": alone(config["model"]), "training": training} | dict.fromkeys(("graph", "gnn", "fusion"))


def asked_alone(options: dict[str, str], overrides: list[str], config: Config) -> tuple[dict[str, str], list[str]]:
    """Options and overrides of an encoder alone, given those of the hybrid: what the user would type for it."""
    model = option_of(config["model"])
    kept = [f"model={model}"]
    for override in overrides:
        group, _, setting = re.split(r"=", override.lstrip("+"), maxsplit=1)[0].partition(".")
        known = config["model"] if group == "model" else config["training"] if group == "training" else None
        if group in SHARED and override != f"model={model}" and (setting in known if known else group != "model"):
            kept.append(override)
    there = {group: option for group, option in options.items() if config.get(group)}
    return {**there, "model": model, "training": option_of(config["training"])}, kept


def option_of(node: Config) -> str:
    """The option of a group whose yaml has the name of its class's file."""
    return str(node["_target_"]).split(".")[-2]


def home(run: "Run") -> Path:
    """Where a run's encoder is trained: in the shared folder, or in the run's own."""
    config = config_alone(run.config)
    assert config is not None
    shared = getattr(run.strategy, "encoders", None)
    if shared is None:
        return run.folder / "encoder"
    where = address(config, run.prepared.split_hash, run.device.type)
    return Path(shared).expanduser() / f"{option_of(config['model'])}-{where[:12]}"


def find(run: "Run") -> Path | None:
    """The folder of a finished run of this run's encoder alone: the shared one, or any below outputs/ or beside."""
    config = config_alone(run.config)
    if config is None or getattr(run.strategy, "encoders", OUTPUTS) is None:
        return None
    where = address(config, run.prepared.split_hash, run.device.type)
    shared = home(run)
    if read_results(shared) is not None:  # its name is the address
        return shared
    return next(finished_runs(where, [run.folder.parent.glob("*/results.json"), OUTPUTS.rglob("results.json")]), None)


def finished_runs(where: str, places: list[Iterator[Path]]) -> Iterator[Path]:
    """Folders of finished runs with this address."""
    for path in (path for place in places for path in place):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # it is somebody else's, and being replaced or damaged
        if where in text and (path.parent / "model.pt").is_file():  # nothing else of results.json holds an address
            yield path.parent


@contextmanager
def own_log(folder: Path) -> Iterator[None]:
    """What is logged inside stands also in train.log of a folder."""
    handler = logging.FileHandler(folder / "train.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
