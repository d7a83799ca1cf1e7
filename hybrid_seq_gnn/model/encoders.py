"""The sequence models that a hybrid can use as its encoder."""

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from hybrid_seq_gnn.model.bert4rec import BERT4Rec
from hybrid_seq_gnn.model.encoder import Encoder
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.sasrec import SASRec

Name = Literal["sasrec", "gru4rec", "bert4rec"]
ENCODERS: dict[str, type[Encoder]] = {"sasrec": SASRec, "gru4rec": GRU4Rec, "bert4rec": BERT4Rec}


def settings_of_encoder(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a hybrid that its encoder accepts; num_blocks is the number of layers of gru4rec."""
    parameters = inspect.signature(ENCODERS[name]).parameters
    settings = {**settings, "num_layers": settings["num_blocks"]}
    return {key: value for key, value in settings.items() if key in parameters}


def make_encoder(name: Name, num_items: int, **settings: Any) -> Encoder:
    """Build an encoder by name from a hybrid's settings."""
    return ENCODERS[name](num_items, **settings_of_encoder(name, settings))


def standalone_config(hybrid: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a hybrid's encoder as a standalone model."""
    cls = ENCODERS[hybrid["encoder"]]
    parameters = inspect.signature(cls).parameters.items()
    defaults = {name: p.default for name, p in parameters if p.default is not p.empty}  # for what a hybrid does not set
    settings = defaults | settings_of_encoder(hybrid["encoder"], hybrid)
    return {"_target_": f"{cls.__module__}.{cls.__qualname__}", **settings}
