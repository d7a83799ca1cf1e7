"""An encoder that an earlier run trained alone."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hybrid_seq_gnn.training import checkpoint
from hybrid_seq_gnn.training.settings import PostHocSettings

WITHOUT_MEANING = {"_target_", "dropout", "mask_share"}  # settings of a model that its scores do not depend on


def load_encoder(encoder: nn.Module, path: Path, origin: dict[str, Any], device: torch.device) -> None:
    """Take the encoder's weights from model.pt of an earlier run.

    Raises:
        ValueError: the file is not there or not whole; the run had another encoder, other items or another split, or
            its encoder was not trained alone.
    """
    where = f"training.encoder_checkpoint={path}"
    if not path.is_file():
        raise ValueError(f"{where}: there is no such file; expected model.pt of a run of the encoder alone.")
    state = checkpoint.load(path, device)
    try:
        theirs, weights, items = state["config"]["model"], state["model"], state["item_ids"]
        stage = state["config"]["training"]["_target_"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where} is not the model.pt of a run (it lacks {error}).") from error
    if items != origin["item_ids"] or state.get("split_hash") != origin["split_hash"]:
        raise ValueError(
            f"{where} was trained on other data or another split (its split {str(state.get('split_hash'))[:12]}, here "
            f"{origin['split_hash'][:12]}); its training part may hold what is held out here. Give both runs the same "
            "data settings."
        )
    ours = origin["config"]["model"]
    name = type(encoder).__name__
    if theirs["_target_"] == ours["_target_"]:
        if not stage.endswith(f".{PostHocSettings.__name__}"):
            raise ValueError(f"{where}: that hybrid was trained jointly; expected an encoder that was trained alone.")
        weights = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
        same = theirs.get("encoder") == ours.get("encoder")
    else:
        same = theirs["_target_"] == f"{type(encoder).__module__}.{name}"
    if not same:
        raise ValueError(f"{where} has another model than the encoder here, {name}; see model.encoder.")
    for key in sorted(theirs.keys() & ours.keys() - WITHOUT_MEANING):
        if theirs[key] != ours[key]:
            raise ValueError(f"{where} was trained with model.{key}={theirs[key]}, here model.{key}={ours[key]}.")
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{where} does not fit this encoder: {str(error).splitlines()[-1].strip()}") from error
