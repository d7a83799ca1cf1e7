"""The command line under torchrun: one process speaks and writes, the others only compute."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SILENT = ["hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.run.dir=."]  # leaves no file and no folder


@contextmanager
def one_of_several() -> Iterator[None]:
    """Join the processes that torchrun started; does nothing, and costs nothing, where it did not.

    The first process goes on as if it were alone. The others print nothing, log nothing and have no run folder of their
    own: the first one's is told them, since `${now:…}` may differ.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    from hybrid_seq_gnn.training import distributed

    with distributed.processes():
        refuse_sweeps(sys.argv[1:])
        if distributed.is_first():
            yield
            return
        own = [a for a in sys.argv if a.partition("=")[0] not in ("hydra/job_logging", "hydra/hydra_logging")]
        sys.argv[:] = [*own, *SILENT]
        with open(os.devnull, "w") as nowhere:
            sys.stdout = nowhere
            try:
                yield
            finally:
                sys.stdout = sys.__stdout__


def refuse_sweeps(arguments: list[str]) -> None:
    """torchrun is for one run.

    Raises:
        SystemExit: a sweep is asked for.
    """
    if asked := [a for a in arguments if a in ("-m", "--multirun") or a.lower() == "hydra.mode=multirun"]:
        sys.exit(
            f"error: {asked[0]} under torchrun: several processes share one run here, and a sweep has many. Leave out "
            "torchrun; hydra/launcher=joblib runs trials side by side."
        )
