"""Standard output that never ends a command: whoever reads it may go away, or know fewer characters."""

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

STDOUT = 1


class Output(io.FileIO):
    """A file descriptor that is led to nowhere when its reader has gone, as with `| head -1`."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data) or 0


def keep_output() -> None:
    """Let what is printed from now on be lost where it cannot be written: a run goes on without its reader.

    A character that the encoding does not have becomes a question mark. Does nothing where standard output is not the
    real one, as in a notebook.
    """
    before = sys.stdout
    raw = getattr(getattr(before, "buffer", None), "raw", getattr(before, "buffer", None))
    if not isinstance(before, io.TextIOWrapper) or type(raw) is not io.FileIO or raw.fileno() != STDOUT:
        return
    before.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(Output(STDOUT, "w", closefd=False)),
        encoding=before.encoding,
        errors="replace",
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
