"""Progress bars: tqdm without its monitor, and with a lock that no process shares with another.

The monitor is a thread that takes tqdm's lock every ten seconds. A process that is forked in that moment inherits a
lock that nobody will release, and its first bar waits for ever. tqdm's own lock is moreover one of all forked
processes: if one of them is killed while it holds it, the bars of all others wait for ever.
"""

import os
import threading

from tqdm import tqdm


def lock_of_this_process() -> None:
    """Give tqdm a new lock."""
    tqdm.set_lock(threading.RLock())


tqdm.monitor_interval = 0
lock_of_this_process()
os.register_at_fork(after_in_child=lock_of_this_process)

__all__ = ["tqdm"]
