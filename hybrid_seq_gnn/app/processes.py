"""The command line under torchrun: one process speaks and writes, the others only compute."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout

from hybrid_seq_gnn.app.arguments import MULTIRUN

SILENT = ["hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.run.dir=."]  # leaves no file and no folder


@contextmanager
def one_of_several(arguments: list[str]) -> Iterator[list[str]]:
    """Join the processes that torchrun started; does nothing, and costs nothing, where it did not.

    The first process goes on as if it were alone. The others print nothing, log nothing and have no run folder of their
    own: the first one's is told them, since `${now:…}` may differ. Yields what Hydra must be told for that.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield []
        return
    from hybrid_seq_gnn.training import distributed

    with distributed.processes(), ExitStack() as held:
        if asked := MULTIRUN & set(arguments):
            sys.exit(
                f"error: {min(asked)} under torchrun: several processes share one run here, and a sweep has many. "
                "Leave out torchrun; a sweep runs trials side by side by itself."
            )
        if not distributed.is_first():
            held.enter_context(redirect_stdout(held.enter_context(open(os.devnull, "w"))))
        yield [] if distributed.is_first() else SILENT
    # All is written. A thread of PyTorch's process group that outlives Python's own end would abort some processes now
    # and then ("terminate called without an active exception"), and torchrun would call the whole run failed.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
