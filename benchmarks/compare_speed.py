"""How long a comparison takes: 6,000 users, 10 runs, 9 metrics, 4 groups, 10,000 resamples, on one core.

    OMP_NUM_THREADS=1 python benchmarks/compare_speed.py [--two-level]

Writes its run folders to a temporary folder, so that reading the files counts too.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hybrid_seq_gnn.compare.table import GROUPS, compare
from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.results.configurations import configurations
from hybrid_seq_gnn.results.load import load
from tests.results.folders import write_run

USERS, RUNS = 6000, 10


def main() -> None:
    rng = np.random.default_rng(0)
    lengths = np.ceil(rng.lognormal(3.2, 1.0, USERS)).astype(int)
    two_level = "--two-level" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        for k in range(RUNS):
            for seed in (0, 1) if two_level else (0,):
                ranks = np.ceil(rng.exponential(40 - k, USERS)).astype(int)
                write_run(Path(folder) / f"{k}_seed{seed}", ranks, lengths=lengths, seed=seed, fusion__alpha=k / 10)
        started = time.perf_counter()
        (baseline, *others), _ = configurations(load([folder]).runs)
        frame = compare(baseline, others, NAMES, GROUPS, two_level=two_level)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sizes = frame.drop_duplicates("group").set_index("group")["users"].to_dict()
    print(f"{len(frame)} comparisons of {sizes} users: {seconds:.1f} s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
