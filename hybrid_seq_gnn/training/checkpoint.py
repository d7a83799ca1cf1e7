"""Save and load training states, atomically, and load an encoder that an earlier run trained alone."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import atomic

if TYPE_CHECKING:
    from hybrid_seq_gnn.training.strategy import StrategyRun

# Settings that older models do not have, with the values that they had in effect.
BEFORE = {"prior": "none", "init": "random", "scale": 1.0}
EVALUATION = {"mask_history": True, "refit": False}  # settings on which an encoder's epoch and what it knows depend
IRRELEVANT = {"_target_", "dropout", "mask_share", "init"}  # model settings that do not affect the scores


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` atomically: a crash leaves the old file or the new one, never half a file."""
    with atomic(path) as temporary:
        buffer = io.BytesIO()  # PyTorch does not say why it could not write to a file
        torch.save(state, buffer)
        temporary.write_bytes(buffer.getbuffer())


AFRESH = "set training.resume=false to start this run from the beginning."


def load(path: Path, device: torch.device, advice: str = AFRESH) -> dict[str, Any]:
    """Read a file that `save` wrote; only tensors and plain values are accepted.

    Args:
        advice: what to do about a file that is damaged, for the message.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not compare checksums
            if (member := archive.testzip()) is not None:
                raise UserError(f"checksum of {member} is wrong")
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {str(error).splitlines()[0]}); {advice}"
        ) from error
    return state


def load_encoder(encoder: nn.Module, path: Path, run: "StrategyRun") -> None:
    """Load the encoder's weights from the model.pt of an earlier run.

    Raises:
        UserError: the file is missing or damaged, the run had a different encoder, different items or a different
            split, it was evaluated in another way, or its encoder was not trained alone.
    """
    where = f"training.encoder_checkpoint={path}"
    if not path.is_file():
        raise UserError(f"{where}: there is no such file; expected the model.pt of a run of the encoder alone.")
    state = load(path, run.device, "name another run, or leave it out to train the encoder.")
    try:
        theirs, weights, items = {**BEFORE, **state["config"]["model"]}, state["model"], state["item_ids"]
        stage, evaluation = state["config"]["training"]["_target_"], state["config"].get("evaluation", {})
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} is not the model.pt of a run: {error} is missing.") from error
    ours, data = run.config["model"], run.measure.prepared
    if items != data.sequences.item_ids.tolist() or state.get("split_hash") != data.split_hash:
        raise UserError(
            f"{where} was trained on different data or a different split ({str(state.get('split_hash'))[:12]}, here "
            f"{data.split_hash[:12]}), so its training part may contain events that are held out here. Give both runs "
            "the same data settings."
        )
    name = type(encoder).__name__
    if theirs["_target_"] == ours["_target_"]:
        if ".post_hoc." not in stage:
            raise UserError(f"{where}: this hybrid was trained jointly; expected an encoder that was trained alone.")
        weights = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
        same = theirs.get("encoder") == ours.get("encoder")
    else:
        same = theirs["_target_"] == f"{type(encoder).__module__}.{name}"
    if not same:
        raise UserError(f"{where} holds a different model; this run's encoder is {name}. See model.encoder.")
    for key in sorted(theirs.keys() & ours.keys() - IRRELEVANT):
        if theirs[key] != ours[key]:
            raise UserError(f"{where} was trained with model.{key}={theirs[key]}; this run has {key}={ours[key]}.")
    for key, usual in EVALUATION.items():
        if (value := evaluation.get(key, usual)) != (here := run.config["evaluation"][key]):
            values = f"evaluation.{key}={str(value).lower()}; this run has {key}={str(here).lower()}"
            raise UserError(f"{where} was trained with {values}.")
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{where} does not fit this encoder: {str(error).splitlines()[-1].strip()}") from error
