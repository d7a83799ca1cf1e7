"""Normalisations of a weighted graph."""

import numpy as np


def symmetric(source: np.ndarray, target: np.ndarray, weight: np.ndarray, nodes: int) -> np.ndarray:
    """Edge weights of D^-1/2 A D^-1/2, with D the WEIGHTED degree, so that the spectral radius is at most 1.

        value_ij = w_ij / sqrt(d_i d_j),    d_i = sum_j w_ij

    Source: Kipf & Welling 2017 (arXiv:1609.02907). With the number of neighbours in the place of d_i, as some code does
    for weighted graphs, the radius is not bounded and stacked layers blow up.

    Shape:
        source, target, weight: (E,) both directions of each edge. Returns (E,).
    """
    degree = np.bincount(source, weights=weight, minlength=nodes)
    return np.asarray(weight / np.sqrt(degree[source] * degree[target]))
