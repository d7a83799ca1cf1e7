"""The data and models that are measured, built without Hydra."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hybrid_seq_gnn.data.movielens import MovieLens1M, MovieLens100K
from hybrid_seq_gnn.data.movietweetings import MovieTweetings
from hybrid_seq_gnn.data.prepare import Prepared, prepare
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.sequences_file import SequencesFile
from hybrid_seq_gnn.data.split import leave_one_out
from hybrid_seq_gnn.data.synthetic import Synthetic
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.gnn.lightgcn import LightGCN
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.loss.sampled_softmax import SampledSoftmax
from hybrid_seq_gnn.loss.unseen import Unseen
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.negatives.uniform import Uniform

VARIABLE = "HYBRID_SEQ_GNN_BENCHMARK_DATA"
FILES = {"ml-1m": "ml-1m.zip", "ml-100k": "ml-100k.zip", "beauty": "beauty.txt.gz"}
DATA = ("ml-1m", "ml-100k", "movietweetings", "beauty")
MODELS = ("sasrec", "unseen", "embedding", "linear", "geometric", "sampled")
DIM, BLOCKS, NEGATIVES = 64, 2, 256


@dataclass(frozen=True)
class World:
    """Prepared data, and the length of the histories that a model reads of them."""

    name: str
    prepared: Prepared
    length: int

    @property
    def num_items(self) -> int:
        return self.prepared.sequences.num_items


def data_options(parser: argparse.ArgumentParser) -> None:
    """Options --data and --folder."""
    parser.add_argument("--data", nargs="+", choices=(*DATA, "tiny"), help="default: all that are at hand")
    parser.add_argument("--folder", default=os.environ.get(VARIABLE), help=f"{', '.join(FILES.values())}; ${VARIABLE}")


def worlds(options: argparse.Namespace) -> list[World]:
    folder = options.folder and Path(options.folder)
    at_hand = [name for name in DATA if name not in FILES or (folder and (folder / FILES[name]).exists())]
    return [world(name, folder) for name in options.data or at_hand]


def world(name: str, folder: Path | None = None) -> World:
    """MovieTweetings is bundled, MovieLens is downloaded unless it is in the folder."""
    path = str(folder / FILES[name]) if folder and name in FILES else None
    if name == "tiny":
        source = Synthetic(users=60, items=40)
    elif name == "movietweetings":
        source = MovieTweetings(k_core=5)
    elif name == "ml-100k":
        source = MovieLens100K(path=path, min_rating=4.0)
    elif name == "ml-1m":
        source = MovieLens1M(path=path)
    else:
        source = SequencesFile(path=path)
    return World(name, prepare(source), 200 if name == "ml-1m" else 50)


def random_world(num_items: int, users: int = 2000, events: int = 53) -> World:
    """Users with the same number of events; a few items are had often."""
    rng = np.random.default_rng(0)
    items = (num_items * rng.random(users * events) ** 3).astype(np.int64) + 1
    sequences = Sequences(np.arange(users + 1) * events, items, None, np.arange(users), np.arange(1, num_items + 1))
    split = leave_one_out(sequences)
    return World(f"{num_items:,} items", Prepared(sequences, split, "", "", ()), events - 3)


def model_of(kind: str, world: World, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """A model and its loss: SASRec with cross-entropy (over unseen items) or sampled softmax, or mixed with LightGCN.

    Args:
        kind: of `MODELS`, or "shared": sampled softmax whose negatives all positions of a history share.
    """
    sequences, split = world.prepared.sequences, world.prepared.split
    torch.manual_seed(seed)
    shape = {"embedding_dim": DIM, "num_blocks": BLOCKS, "max_length": world.length, "dropout": 0.3}
    losses = {
        "sasrec": CrossEntropy,
        "unseen": lambda: Unseen(sequences, split),
        "sampled": lambda: SampledSoftmax(Uniform(sequences, split, num_negatives=NEGATIVES)),
        "shared": lambda: SampledSoftmax(Uniform(sequences, split, num_negatives=NEGATIVES, per="user")),
    }
    if kind in losses:
        return SASRec(world.num_items, **shape), losses[kind]()
    adjacency = Cooccurrence().build(sequences, split).adjacency()
    level, mix = ("embedding", "linear") if kind == "embedding" else ("score", kind)
    fusion = Fixed(alpha=0.5, level=level, mix=mix)
    return Hybrid(world.num_items, LightGCN(world.num_items, DIM, adjacency), fusion, **shape), CrossEntropy()
