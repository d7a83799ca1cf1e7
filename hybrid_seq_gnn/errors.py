"""The one error that users can do something about; any other is a fault of this package."""

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

# a disk that is full or may not be written
CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
CANNOT_WRITE |= {errno.EEXIST, errno.EMFILE, errno.EIO}
FAULT = (
    "This is a fault of hybrid_seq_gnn, or of an option that was added to it. Please report it, with the command and "
    "the traceback above."
)


class UserError(ValueError):
    """What is wrong and where, which value, what was expected and what to try, in the words of the command line."""


@contextmanager
def as_user_error(what: str) -> Iterator[None]:
    """Any error of a library inside, as one message: they have many ways to say that a file is damaged.

    Args:
        what: how the message begins: what failed, such as "log.zip cannot be read".
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise UserError(f"{what}: {' '.join(reason.split())[:200].rstrip('.')}.") from error


def printable(text: str) -> str:
    r"""A text whose control characters cannot reach a terminal: they are escaped, but for line ends.

    Example:
        >>> printable("a\x1b[31m\nb")
        'a\\x1b[31m\nb'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def suggest(name: str, known: Iterable[str], before: str = "") -> str:
    """A question whether a known name was meant, or nothing if none is near; `before` stands before the name."""
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"Did you mean {before}{by_lower[near[0]]}? " if near else ""


def end(error: BaseException, message: str | None) -> NoReturn:
    """End the program with one message; without a message, with the traceback: it is a fault of ours."""
    if message is None:
        traceback.print_exception(error)
        sys.exit(FAULT)
    sys.exit(f"error: {message}")


def message_of(error: BaseException, setting: str = "--output") -> str | None:
    """One message for an error that users can do something about; None for any other.

    Args:
        setting: chooses the folder that is written to.
    """
    if isinstance(error, UserError):
        return printable(str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # Python's, or PyTorch's
        return "out of memory. Lower training.batch_size, model.max_length or evaluation.batch_size, or data.max_users."
    if not isinstance(error, OSError):
        return None
    reason = (error.strerror or str(error)).lower()
    if error.errno in CANNOT_WRITE and error.filename:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return f"cannot write {name}: {reason}. Make room, or choose another folder with {setting}=…"
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."
