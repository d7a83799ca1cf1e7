"""Finished runs of encoders alone, shared by all runs that use them.

The first stage of a post hoc hybrid is a run of its encoder alone (`model=sasrec` with the same settings, data and
seed), stored as a complete run folder. Other runs find it by its address (see `identity.address`), a hash of everything
that its weights depend on. This run is also the baseline of the hybrid.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_seq_gnn.data.prepare import cache_folder
from hybrid_seq_gnn.files import expanded, locked
from hybrid_seq_gnn.run.build import build, without_fusion
from hybrid_seq_gnn.run.check import target_class
from hybrid_seq_gnn.run.identity import Config, address
from hybrid_seq_gnn.run.record import read_results

if TYPE_CHECKING:
    from hybrid_seq_gnn.run.run import Run

OUTPUTS = Path("outputs")
SHARED = ("data", "loss", "negatives", "evaluation", "training", "model", "seed", "experiment")


def config_alone(config: Config, ahead: int = 0) -> Config | None:
    """The configuration of a run of the model's encoder alone; None if the model has no encoder.

    Args:
        ahead: added to the seed, for another member of an ensemble.
    """
    from hybrid_seq_gnn.training.checkpoint import BEFORE

    alone = getattr(target_class("model", config["model"]), "encoder_alone", None)
    if alone is None:
        return None
    training, ours = without_fusion(config["training"]), config["model"]
    model = {key: value for key, value in alone(ours).items() if key in ours or key not in BEFORE}
    changed = {"model": model, "training": training, "seed": config["seed"] + ahead}
    return {**config, **changed} | dict.fromkeys(("graph", "gnn", "fusion"))


def asked_alone(options: dict[str, str], overrides: list[str], config: Config) -> tuple[dict[str, str], list[str]]:
    """Options and overrides of the encoder alone, derived from those of the hybrid, as a user would type them."""
    model = option_of(config["model"])
    alone = [f"model={model}"]
    for override in overrides:
        group, _, setting = re.split(r"=", override.lstrip("+"), maxsplit=1)[0].partition(".")
        known = config["model"] if group == "model" else config["training"] if group == "training" else None
        if group == "seed":
            override = f"seed={config['seed']}"
        if group in SHARED and override != f"model={model}" and (setting in known if known else group != "model"):
            alone.append(override)
    used = {group: option for group, option in options.items() if config.get(group)}
    return {**used, "model": model, "training": option_of(config["training"])}, list(dict.fromkeys(alone))


def option_of(node: Config) -> str:
    """The option name of a node: its yaml has the name of the module of its class."""
    return str(node["_target_"]).split(".")[-2]


def encoder_folder(run: "Run", ahead: int) -> Path:
    """The folder in which a run's encoder is trained: in the shared folder, or in the run folder."""
    config = config_alone(run.config, ahead)
    assert config is not None
    shared = getattr(run.strategy, "encoders", None)
    if shared is None:
        return run.folder / (f"encoder-{ahead}" if ahead else "encoder")
    key = address(config, run.prepared.split_hash, run.device.type)
    return expanded(shared) / f"{option_of(config['model'])}-{key[:12]}"


def find(run: "Run", ahead: int = 0) -> Path | None:
    """Find a finished run of this run's encoder alone: in the shared folder, next to this run, or below outputs/."""
    config = config_alone(run.config, ahead)
    if config is None or getattr(run.strategy, "encoders", OUTPUTS) is None:
        return None
    key = address(config, run.prepared.split_hash, run.device.type)
    shared = encoder_folder(run, ahead)
    if read_results(shared) is not None:  # the address is in its name
        return shared
    return next(runs_at(key, run.folder), None)


@contextmanager
def claim(run: "Run") -> Iterator[None]:
    """Hold a lock while an encoder alone is trained; hybrids of other processes that need it `wait_for` the lock."""
    with ExitStack() as stack:
        if run.config["fusion"] is None:
            with suppress(OSError):  # another process trains the same one, or there is no place for a lock
                stack.enter_context(locked(lock_of(run, run.address), wait=False))
        yield


def wait_for(run: "Run", ahead: int) -> None:
    """Wait while another process trains the encoder of this run, as a run of its own (`model=sasrec,hybrid -m`)."""
    config = config_alone(run.config, ahead)
    assert config is not None
    path = lock_of(run, address(config, run.prepared.split_hash, run.device.type))
    with suppress(OSError), locked(path, doing="trains this encoder"):
        pass


def lock_of(run: "Run", key: str) -> Path:
    """The file that a process locks while it trains the encoder with this address."""
    return cache_folder(build(run.config["data"])) / f"encoder-{key[:12]}.lock"


def runs_at(key: str, folder: Path) -> Iterator[Path]:
    """Folders of finished runs with the address `key`: beside a run, or below outputs/."""
    for path in chain(folder.parent.glob("*/results.json"), OUTPUTS.rglob("results.json")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # another process is replacing it, or it is damaged
        if key in text and (path.parent / "model.pt").is_file():  # no other field holds an address
            yield path.parent


@contextmanager
def log_to(folder: Path) -> Iterator[None]:
    """Write log lines also to train.log in `folder`."""
    handler = logging.FileHandler(folder / "train.log", encoding="utf-8", delay=True)  # after `refuse_links`
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
