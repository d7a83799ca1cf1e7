"""Shared by all tests: shapes are checked at every call, one thread, and small worlds to stand on."""

import os
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):  # before they are loaded: a pool of threads does not survive a fork
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from jaxtyping import install_import_hook  # noqa: E402

import tests.typecheck  # noqa: E402, F401

install_import_hook("hybrid_seq_gnn", "tests.typecheck.checker")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from hybrid_seq_gnn.data.sequences import Sequences  # noqa: E402
from hybrid_seq_gnn.data.split import Split  # noqa: E402
from hybrid_seq_gnn.run.options import option as composed  # noqa: E402, F401
from hybrid_seq_gnn.run.options import options  # noqa: E402, F401

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

CONF = ROOT / "conf"

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    os.environ["HYBRID_SEQ_GNN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data():
    if not SHARED_DATA.is_dir():
        pytest.skip("needs real data in ../shared/data, which is not here")
    return SHARED_DATA


def make_sequences(lengths, num_items=30, seed=0):
    """Random histories of the given lengths; every user's items are distinct where there are enough."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.permutation(num_items)[:n] + 1 if n <= num_items else rng.integers(1, num_items + 1, n) for n in lengths
    ]
    return Sequences(
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=np.concatenate(rows).astype(np.int64),
        timestamps=None,
        user_ids=np.arange(100, 100 + len(lengths)),
        item_ids=np.array([f"i{k}" for k in range(1, num_items + 1)]),
    )


def leave_last_two_out(sequences):
    lengths = sequences.lengths
    return Split(train_end=lengths - 2, valid=lengths - 2, test=lengths - 1)


@pytest.fixture
def sequences():
    return make_sequences([3, 5, 8, 12, 30, 7, 4, 25])


@pytest.fixture
def split(sequences):
    return leave_last_two_out(sequences)
