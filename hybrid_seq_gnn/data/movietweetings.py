"""MovieTweetings: movie ratings posted on Twitter. A copy comes with the package.

Source: Dooms, De Pessemier & Martens 2013, "MovieTweetings: a Movie Rating Dataset Collected From Twitter"; the first
100,000 ratings, MIT licence (bundled/LICENSE).
"""

import lzma
from dataclasses import dataclass
from importlib.resources import files

from hybrid_seq_gnn.data.delimited import read_delimited
from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.layout import FileLayout
from hybrid_seq_gnn.data.raw import Part
from hybrid_seq_gnn.data.source import Source

COLUMNS = ["user", "item", "rating", "timestamp"]


@dataclass(frozen=True, kw_only=True)
class MovieTweetings(Source):
    """Ratings from 0 to 10, by default reduced to the 5-core. Without `path`, the bundled copy is read."""

    k_core: int = 5

    def content(self) -> list[Part]:
        if self.path is None:
            packed = files("hybrid_seq_gnn.data").joinpath("bundled", "movietweetings-100k.dat.xz").read_bytes()
            return [Part("movietweetings", lzma.decompress(packed))]
        return super().content()

    def read(self, content: list[Part]) -> Events:
        """user::item::rating::timestamp."""
        columns = {name: name for name in COLUMNS}
        return read_delimited(content, FileLayout("::", columns, COLUMNS, False, "none", settings=self.settings))
