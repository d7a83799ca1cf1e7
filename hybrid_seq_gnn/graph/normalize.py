"""Normalisations, weightings and pruning of a graph."""

import logging
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

log = logging.getLogger(__name__)

Weighting = Literal["raw", "log", "cosine", "pmi"]

MOST_EDGES = 1 << 23  # edges of a graph if top_k is not set: a step of training visits all of them
AT_A_TIME = 1 << 22  # edges that are pruned at a time


def symmetric(source: np.ndarray, target: np.ndarray, weight: np.ndarray, nodes: int) -> np.ndarray:
    """Edge weights of D^-1/2 A D^-1/2, with D the WEIGHTED degree, so that no singular value exceeds 1.

        value_ij = w_ij / sqrt(out_i in_j),    out_i = sum_j w_ij,    in_j = sum_i w_ij

    Source: Kipf & Welling 2017 (arXiv:1609.02907). Some code divides by the number of neighbours instead of the
    weighted degree; then the spectral radius is unbounded and stacked layers blow up.

    Shape:
        source, target, weight: (E,); an undirected graph has both directions, and out = in. Returns (E,).
    """
    out_degree = np.bincount(source, weights=weight, minlength=nodes)
    in_degree = np.bincount(target, weights=weight, minlength=nodes)
    return np.asarray(weight / np.sqrt(out_degree[source] * in_degree[target]))


def reweight(counts: csr_array, weighting: Weighting) -> csr_array:
    """Edge weights from the counts w; an edge whose weight becomes 0 (pmi) is dropped.

    raw:     w_ij
    log:     log(1 + w_ij)
    cosine:  w_ij / sqrt(out_i in_j)
    pmi:     max(log(w_ij W / (out_i in_j)), 0),  W = sum of all w
    """
    if weighting == "raw":
        return counts
    weighted = counts.copy()
    if weighting == "log":
        weighted.data = np.log1p(counts.data)
        return weighted
    source, target, weight = entries(counts)
    if weighting == "cosine":
        weighted.data = symmetric(source, target, weight, counts.shape[0])
        return weighted
    out_degree, in_degree = (np.bincount(node, weights=weight, minlength=counts.shape[0]) for node in (source, target))
    weighted.data = np.maximum(np.log(weight * weight.sum() / (out_degree[source] * in_degree[target])), 0.0)
    weighted.eliminate_zeros()
    return weighted


def entries(matrix: csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column (both int64) and value of each entry, row by row."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row, matrix.indices.astype(np.int64), matrix.data


def fitting_top_k(matrix: csr_array, directions: int = 1) -> int | None:
    """None if a graph has at most MOST_EDGES; else the largest k, 1 or more, that keeps so few.

    Args:
        matrix: weights of the edges.
        directions: 2 if an edge that is among the k heaviest of one end is kept in both directions.
    """
    if matrix.nnz <= MOST_EDGES:
        return None
    rows = np.bincount(np.diff(matrix.indptr))[::-1].cumsum()[::-1][1:]  # rows with 1, 2, ... edges or more
    top_k = max(1, int(np.searchsorted(directions * np.cumsum(rows), MOST_EDGES, side="right")))
    log.info("of %s edges between items, only the %d heaviest of each item are kept", f"{matrix.nnz:,}", top_k)
    return top_k


def heaviest(matrix: csr_array, top_k: int) -> csr_array:
    """The `top_k` heaviest entries of each row; ties go to the lower column. The columns must be ascending.

    Cost: E, without sorting: each row's threshold is found by partition, for rows of similar length at a time.
    """
    keep = np.zeros(matrix.nnz, dtype=bool)
    low, size = 0, matrix.shape[0]
    while low < size:
        high = max(int(np.searchsorted(matrix.indptr, matrix.indptr[low] + AT_A_TIME, side="right")) - 1, low + 1)
        block = slice(matrix.indptr[low], matrix.indptr[high])
        keep[block] = heavy(matrix.data[block], np.diff(matrix.indptr[low : high + 1]), top_k)
        low = high
    first = np.concatenate([[0], np.cumsum(np.minimum(np.diff(matrix.indptr), top_k))])
    return csr_array((matrix.data[keep], matrix.indices[keep], first), shape=matrix.shape)


def heavy(weight: np.ndarray, degree: np.ndarray, top_k: int) -> np.ndarray:
    """(E,) whether an edge is among the `top_k` heaviest of its row, given the number of edges of each row."""
    end = np.cumsum(degree)
    least = np.full(len(degree), -np.inf)  # the weight of the last one that is kept
    width = top_k
    while width < degree.max(initial=0):
        width *= 2
        rows = np.flatnonzero((degree > width // 2) & (degree <= width))
        place = np.arange(width)
        inside = place < degree[rows, None]
        padded = np.where(inside, weight[np.where(inside, (end - degree)[rows, None] + place, 0)], -np.inf)
        least[rows] = np.partition(padded, width - top_k, axis=1)[:, width - top_k]
    least = np.repeat(least, degree)
    above, equal = weight > least, weight == least

    def up_to_here(chosen: np.ndarray) -> np.ndarray:
        """(E + 1,) number of chosen edges before each edge."""
        return np.concatenate([[0], np.cumsum(chosen)])

    before, ties = up_to_here(above), up_to_here(equal)
    room = top_k - (before[end] - before[end - degree])
    return np.asarray(above | (equal & (ties[1:] - np.repeat(ties[end - degree], degree) <= np.repeat(room, degree))))
