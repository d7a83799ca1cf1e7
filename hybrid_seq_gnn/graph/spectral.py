"""Vectors of items from the graph of which items occur near each other."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence

GRAPH = Cooccurrence(window=10, decay=0.8, weighting="pmi")
TOLERANCE = 1e-3  # of an eigenvalue, as a share of it


def spectral_vectors(sequences: Sequences, split: Split, width: int) -> Float[np.ndarray, "N D"]:
    """Vectors whose dot products come closest to the pointwise mutual information of items in the training part.

        M = max(log(w_ij W / (w_i w_j)), 0)    w_ij: pairs of the events i and j, 10 apart at most, each step weighs 0.8
        M ~ U diag(l) U^T,                     the `width` eigenvalues l that are largest in size
        vectors = U diag(|l|)^(1/2)

    Source: Levy & Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization", Sec. 4.2, for words; there
    it is what the skip-gram model of word2vec learns. Ours differs: nearer pairs weigh more.

    Shape:
        (N, width), row 0 is padding. Rows of items without such a pair are 0, and columns beyond N - 1.
        Cost: that of the graph, and about 3 `width` products of it with a vector.
    """
    graph = GRAPH.build(sequences, split)
    pmi = csr_array((graph.weight, (graph.source, graph.target)), shape=(graph.nodes, graph.nodes))
    vectors = np.zeros((graph.nodes, width))
    if rank := min(width, graph.nodes - 1) * bool(pmi.nnz):
        values, columns = eigsh(pmi, rank, which="LM", v0=np.ones(graph.nodes), tol=TOLERANCE)
        vectors[:, :rank] = columns * np.sqrt(np.abs(values))
    vectors[np.diff(pmi.indptr) == 0] = 0.0
    return vectors
