"""Vectors of items from the graph of which items occur near each other."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from hybrid_seq_gnn.data.cache import load_or_make
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.normalize import entries, reweight

GRAPH = Cooccurrence(window=10, decay=0.8)
# Of the randomised decomposition: the sum of the singular values that it finds is at most 0.4 % too low.
SPARE, ITERATIONS = 16, 8
VERSION = "spectral-1"  # of what is cached


def spectral_vectors(sequences: Sequences, split: Split, width: int) -> Float[Tensor, "N D"]:
    """Vectors whose dot products follow the pointwise mutual information (PMI) of items in the training part.

        M = max(log(w_ij W / (w_i w_j)), 0)    w_ij: pairs of the events i and j, 10 apart at most, each step weighs 0.8
        M ~ U diag(s) V^T,                     the `width` largest singular values s
        vectors = U diag(s)^(1/2)              dot products U diag(s) U^T: M, but for the signs of its eigenvalues

    Source: Levy & Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization", Sec. 4.2, for words; there
    it is what the skip-gram model of word2vec learns. Ours differs: nearer pairs weigh more.

    Of more than 2^23 pairs (see `graph.top_k`), only those that are counted most are used. Vectors that take two
    seconds or more are cached beside the data, for each number of threads, as the decomposition depends on it.

    Shape:
        (N, width), row 0 is padding. Rows of items without such a pair are 0, and columns beyond N.
        Cost: that of the graph, and 18 products of it with `width` + 16 vectors.
    """
    key = f"{VERSION}-{width}-{torch.__version__}-{torch.get_num_threads()}-{split.hash(sequences)}"
    found = load_or_make(sequences.cache, key, lambda: {"vectors": decompose(sequences, split, width).numpy().ravel()})
    return torch.from_numpy(found["vectors"].reshape(-1, width).copy())


def decompose(sequences: Sequences, split: Split, width: int) -> Float[Tensor, "N D"]:
    """The vectors, made anew."""
    graph = GRAPH.build(sequences, split)
    counts = csr_array((graph.weight, (graph.source, graph.target)), shape=(graph.nodes, graph.nodes))
    source, target, weight = entries(reweight(counts, "pmi"))
    pmi = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([source, target])),
        torch.from_numpy(weight).float(),
        counts.shape,
        is_coalesced=True,
        check_invariants=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        u, s, _ = torch.svd_lowrank(pmi, min(width + SPARE, graph.nodes), ITERATIONS)
    vectors, linked = torch.zeros(graph.nodes, width), np.unique(source)
    found = (u * s.sqrt())[linked, :width]
    vectors[linked, : found.shape[1]] = found
    return vectors
