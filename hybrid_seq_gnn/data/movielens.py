"""MovieLens: movie ratings, in the file layout of GroupLens.

Source: Harper & Konstan 2015, "The MovieLens Datasets: History and Context"; https://grouplens.org/datasets/movielens/.
Its licence forbids redistribution, so the data are downloaded, or read from your own copy.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from hybrid_seq_gnn.data.delimited import read_delimited
from hybrid_seq_gnn.data.download import download
from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.layout import Layout
from hybrid_seq_gnn.data.prepare import cache_folder
from hybrid_seq_gnn.data.raw import Part, read_parts
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.errors import UserError, reading

COLUMNS = ["user", "item", "rating", "timestamp"]


@dataclass(frozen=True, kw_only=True)
class MovieLens(Source):
    """One of the MovieLens data sets; `path` is its zip, the folder from the zip, or the ratings file.

    Attributes:
        url: where to download the zip if `path` is not set.
    """

    url: str = ""

    member: ClassVar[str]
    separator: ClassVar[str]
    md5: ClassVar[str]
    columns: ClassVar[list[str] | None] = COLUMNS

    def content(self) -> list[Part]:
        """The ratings file, from the zip, from the folder or read directly."""
        if self.path is None:
            name = self.url.rpartition("/")[2]
            return self.unzip(download(self.url, cache_folder(self) / "downloads" / name, self.md5))
        path = self.file()
        if path.is_dir():
            inside = path / PurePosixPath(self.member).name
            path = inside if inside.exists() else path / self.member
        return self.unzip(path) if path.suffix == ".zip" else read_parts(path, self.max_bytes)

    def unzip(self, path: Path) -> list[Part]:
        """Read the ratings from the zip in memory; nothing is extracted to disk.

        Raises:
            ValueError: not a zip, no ratings in it, or a member that points outside the folder.
        """
        if not path.exists():
            raise UserError(f"{path}: there is no such file. Check data.path.")
        with reading(f"{path} cannot be read as a zip"), zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            for member in members:
                if PurePosixPath(member).is_absolute() or ".." in PurePosixPath(member.replace("\\", "/")).parts:
                    raise UserError(f"{path} is not read: its member {member!r} points outside its folder.")
            if self.member not in members:
                raise UserError(f"{path} has no {self.member}; it has {', '.join(members[:8]) or 'nothing'}.")
            size, most = archive.getinfo(self.member).file_size, self.max_bytes
            if size > most:
                raise UserError(f"{path}: {self.member} unpacks to {size:,} bytes, over data.max_bytes={most:,}.")
            raw = archive.read(self.member)  # never more than it says: zipfile checks
        if not raw.strip():
            raise UserError(f"{path}: {self.member} is empty.")
        return [Part(f"{path}: {self.member}", raw)]

    def read(self, content: list[Part]) -> Events:
        header = {"user": "userId", "item": "movieId", "rating": "rating", "timestamp": "timestamp"}
        columns = header if self.columns is None else {name: name for name in COLUMNS}
        plain = self.columns is not None
        layout = Layout(
            self.separator, columns, self.columns, not plain, "none" if plain else "line", settings=self.settings
        )
        return read_delimited(content, layout)


@dataclass(frozen=True, kw_only=True)
class MovieLens100K(MovieLens):
    """100,000 ratings from 1997 and 1998; user, item, rating, timestamp, separated by tabs."""

    url: str = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    member: ClassVar[str] = "ml-100k/u.data"
    separator: ClassVar[str] = "\t"
    md5: ClassVar[str] = "0e33842e24a9c977be4e0107933c0723"


@dataclass(frozen=True, kw_only=True)
class MovieLens1M(MovieLens):
    """A million ratings from 2000; user::item::rating::timestamp."""

    url: str = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
    member: ClassVar[str] = "ml-1m/ratings.dat"
    separator: ClassVar[str] = "::"
    md5: ClassVar[str] = "c4d9eecfca2ab87c1945afe126590906"


@dataclass(frozen=True, kw_only=True)
class MovieLens20M(MovieLens):
    """Twenty million ratings from 1995 to 2015; CSV with a header."""

    url: str = "https://files.grouplens.org/datasets/movielens/ml-20m.zip"
    member: ClassVar[str] = "ml-20m/ratings.csv"
    separator: ClassVar[str] = ","
    md5: ClassVar[str] = "cd245b17a1ae2cc31bb14903e1204af3"
    columns: ClassVar[list[str] | None] = None
