"""Normalisations and weightings of a graph."""

from typing import Literal

import numpy as np

Weighting = Literal["raw", "log", "cosine", "pmi"]


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


def reweight(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, nodes: int, weighting: Weighting
) -> np.ndarray:
    """Edge weights from the counts w.

        raw:     w_ij
        log:     log(1 + w_ij)
        cosine:  w_ij / sqrt(out_i in_j)
        pmi:     max(log(w_ij W / (out_i in_j)), 0),  W = sum of all w

    The caller must drop edges whose weight becomes 0 (pmi).
    """
    if weighting == "log":
        return np.asarray(np.log1p(weight))
    if weighting == "cosine":
        return symmetric(source, target, weight, nodes)
    if weighting == "pmi":
        out_degree = np.bincount(source, weights=weight, minlength=nodes)
        in_degree = np.bincount(target, weights=weight, minlength=nodes)
        return np.asarray(np.maximum(np.log(weight * weight.sum() / (out_degree[source] * in_degree[target])), 0.0))
    return weight


def heaviest(source: np.ndarray, target: np.ndarray, weight: np.ndarray, top_k: int) -> np.ndarray:
    """(E,) whether an edge is among the `top_k` heaviest of its source; ties go to the lower target."""
    order = np.lexsort((target, -weight, source))
    ordered = source[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    keep = np.zeros(len(order), dtype=bool)
    keep[order] = place < top_k
    return keep
