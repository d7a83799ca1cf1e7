"""Progress bars: tqdm without its monitor.

The monitor is a thread that takes tqdm's lock every ten seconds. A process that is forked in that moment inherits a
lock that nobody will release, and its first bar waits for ever.
"""

from tqdm import tqdm

tqdm.monitor_interval = 0

__all__ = ["tqdm"]
