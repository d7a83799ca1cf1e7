"""Benchmarks: `python -m benchmarks NAME`; see README.md here."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
if checkout := os.environ.get("BENCHMARK_CHECKOUT"):  # measure the package of another checkout with these benchmarks
    sys.path.insert(0, checkout)
