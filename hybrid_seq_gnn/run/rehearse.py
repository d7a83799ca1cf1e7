"""Build what a configuration describes for a catalogue of four items, so that constructors speak before data are read.

`build.checked` looks at one value at a time. Settings that do not go together are refused by constructors.
"""

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import leave_one_out
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.loss.unseen import Unseen
from hybrid_seq_gnn.run.build import build, build_parts
from hybrid_seq_gnn.run.identity import Config

ITEMS = np.array([1, 2, 3, 1])  # of the one user, who has not seen the fourth item
SEQUENCES = Sequences(np.array([0, 4]), ITEMS, np.arange(4), np.array([1]), np.arange(1, 5))
SPLIT = leave_one_out(SEQUENCES)


def rehearse(config: Config, here: bool = True) -> None:
    """Raise what constructors, and the training strategy of the model, say of the settings of a configuration.

    Args:
        config: checked, see `build.checked`.
        here: it is run on this machine; the devices of another one are not known.

    Raises:
        UserError: settings do not go together. Any other error may be due to the catalogue, and is left to the run.
    """
    try:
        build_all(config, here)
    except Exception as error:
        if isinstance(error, UserError):
            raise


def build_all(config: Config, here: bool = True) -> None:
    """Build all but the logger, which would open its files."""
    build(config["data"])
    evaluation = build(config["evaluation"])
    strategy = build(config["training"] if here else {**config["training"], "device": "auto"})
    graph = config["graph"] and build(config["graph"]).build(SEQUENCES, SPLIT)
    parts = build_parts(config, SEQUENCES, SPLIT, graph and graph.adjacency())
    strategy.check(parts["model"])
    if evaluation.refit:
        strategy.check_refit(parts["model"])
    if isinstance(parts["loss"], Unseen) and not evaluation.mask_history:
        raise UserError(
            "loss=unseen never compares an item with those the user has had, which evaluation.mask_history=false ranks "
            "too. Use loss=cross_entropy."
        )
