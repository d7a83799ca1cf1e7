"""Small trained runs of every kind of model, made once per test process."""

import functools
import tempfile
from pathlib import Path

from hybrid_seq_gnn import LoadedRun, train

DATA = {"option": "synthetic", "users": 60, "items": 30}
SMALL = {"embedding_dim": 8, "num_blocks": 1}
MEMORY = {"model": {**SMALL}, "training": {"epochs": 1, "encoders": None}}
JOINT = {"training": {"option": "joint", "epochs": 1}}
KINDS = {
    "hybrid": MEMORY,
    "linear": {**MEMORY, "fusion": {"mix": "linear", "alpha": 0.3}},
    "transitions": {**MEMORY, "gnn": "transitions", "fusion": "continuous"},
    "members": {**MEMORY, "model": {**SMALL, "members": 2}},
    "embeddings": {"model": SMALL, "gnn": "lightgcn", "fusion": {"option": "learnable", "level": "embedding"}, **JOINT},
    "attention": {"model": SMALL, "gnn": "gat", "fusion": {"level": "embedding"}, **JOINT},
    "sasrec": {"model": {"option": "sasrec", **SMALL}, **JOINT},
    "gru4rec": {"model": {"option": "gru4rec", "embedding_dim": 8}, **JOINT},
    "bert4rec": {"model": {"option": "bert4rec", **SMALL}, **JOINT},
    "caser": {"model": {"option": "caser", "embedding_dim": 8}, **JOINT},
    "lightgcn": {"model": {"option": "lightgcn", "embedding_dim": 8}, "loss": "bpr", **JOINT},
    **{name: {"model": name} for name in ("ease", "item_knn", "markov", "popularity")},
}


@functools.lru_cache(maxsize=1)
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="trained"))


@functools.lru_cache(maxsize=len(KINDS))
def run_of(kind: str) -> LoadedRun:
    return train(DATA, folder=folder() / kind, **KINDS[kind])
