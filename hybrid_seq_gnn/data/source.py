"""The base class of data sources, with the settings of filters, split and cache."""

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from hybrid_seq_gnn.data.cache import FORMAT
from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.raw import Part, read_parts
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import expanded
from hybrid_seq_gnn.limits import AtLeast0, AtLeast1, Inside, Limited

# settings that do not change the data themselves
NOT_IN_KEY = ("path", "titles", "cache", "cache_dir", "url", "max_bytes")


@dataclass(frozen=True, kw_only=True)
class Source(Limited):
    """A source of interactions. Filters apply in the order listed here.

    Attributes:
        path: the file. Some sources also accept a folder or zip, or need no path.
        titles: a file with the title of each item, for people to read; null is that of MovieLens where `path` has it.
        max_bytes: limit on the size of a file after decompression.
        duplicates: `keep` or `drop` events that repeat an earlier one (same user, item and time).
        min_rating: remove events with a lower rating; null keeps all.
        k_core: repeatedly remove users and items with fewer events until none is left; 0 is off.
        min_item_events: remove items with fewer events, once.
        min_user_events: remove users with fewer events, once, after items.
        max_users: keep only this many users, the first in file order, for a quick look; null keeps all.
        split: `leave_one_out` (a user's last event is for test, the one before for validation) or `global_time` (two
            cut-off times, the same for all users).
        valid_share, test_share: share of all events, for global_time.
        cache: save prepared data for later runs.
        cache_dir: cache folder; null is $HYBRID_SEQ_GNN_CACHE, else hybrid_seq_gnn in $XDG_CACHE_HOME or ~/.cache.

    Raises:
        UserError: a value is out of range.
    """

    path: str | None = None
    titles: str | None = None
    max_bytes: AtLeast1 = 1 << 35
    duplicates: Literal["keep", "drop"] = "keep"
    min_rating: float | None = None
    k_core: AtLeast0 = 0
    min_item_events: AtLeast1 = 1
    min_user_events: AtLeast1 = 5
    max_users: AtLeast1 | None = None
    split: Literal["leave_one_out", "global_time"] = "leave_one_out"
    valid_share: Inside = 0.1
    test_share: Inside = 0.1
    cache: bool = True
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if self.path is not None and not self.path.strip():
            raise UserError("data.path is empty; expected a path. Is a variable of the shell not set?")
        if getattr(self, "separator", None) == "":
            raise UserError("data.separator is empty. A blank is written data.separator=\"' '\", quotes in quotes.")
        if self.split == "leave_one_out" and max(self.min_user_events, self.k_core) < 3:
            raise UserError(
                f"data.min_user_events={self.min_user_events}: must be 3 or more with data.split=leave_one_out, "
                "which needs one event each for training, validation and test."
            )
        if self.valid_share + self.test_share >= 1:
            raise UserError(
                f"data.valid_share={self.valid_share} and data.test_share={self.test_share} leave nothing for training."
            )

    @property
    def settings(self) -> frozenset[str]:
        """Names of its settings: what a message may advise."""
        return frozenset(field.name for field in fields(self))

    def content(self) -> list[Part]:
        """The raw content of the source, which is also part of the cache key: the file or files that `path` names."""
        return read_parts(self.file(), self.max_bytes)

    def read(self, content: list[Part]) -> Events:
        """All events, in file order."""
        raise TypeError(f"{type(self).__name__} must implement read().")

    def key(self, content: list[Part]) -> str:
        """sha256 over the content and every setting that affects the prepared data."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_IN_KEY}
        head = f"{FORMAT} {type(self).__name__} {sorted(settings.items())!r}"
        digest = hashlib.sha256(head.encode())
        for part in content:
            digest.update(hashlib.sha256(part.raw).digest())
        return digest.hexdigest()

    def file(self) -> Path:
        """`path`, for sources that require it.

        Raises:
            UserError: it is not set.
        """
        if self.path is None:
            raise UserError("data.path is not set; it must name the file to read.")
        return expanded(self.path)


def unescaped(separator: str | None) -> str | None:
    r"""The separator that the user means: "\\t" on a command line is a tab, and "\\x01" the byte that Hive writes."""
    typed = separator and separator.replace("\\t", "\t")
    return typed and re.sub(r"\\x([0-7][0-9a-fA-F])", lambda found: chr(int(found[1], 16)), typed)
