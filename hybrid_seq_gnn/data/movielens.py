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
from hybrid_seq_gnn.data.layout import FileLayout
from hybrid_seq_gnn.data.prepare import cache_folder
from hybrid_seq_gnn.data.raw import Part, read_parts
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.errors import UserError, as_user_error

COLUMNS = ["user", "item", "rating", "timestamp"]
FILES = {"u.data": "ml-100k", "ratings.dat": "ml-1m", "ratings.csv": "ml-20m"}  # also of other sizes, by their option


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
            path = self.inside(path)
        return self.unzip(path) if path.suffix == ".zip" else read_parts(path, self.max_bytes)

    def inside(self, folder: Path) -> Path:
        """The ratings file in a folder, whatever the folder is called.

        Raises:
            UserError: there is none, or more than one.
        """
        name = PurePosixPath(self.member).name
        usual = [path for path in (folder / name, folder / self.member) if path.exists()]
        found = usual[:1] or [*folder.glob(f"*/{name}")]
        if len(found) != 1:
            files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
            raise UserError(f"{folder} has {'more than one' if found else 'no'} {name}{self.others(files)}")
        return found[0]

    def others(self, files: list[str]) -> str:
        """What there is instead of the ratings file, and which option reads it."""
        names = {PurePosixPath(file).name for file in files}
        hints = [f" data={option} reads {name}." for name, option in FILES.items() if name in names]
        return f"; it has {', '.join(files[:8]) or 'nothing'}.{''.join(hints)}"

    def unzip(self, path: Path) -> list[Part]:
        """Read the ratings from the zip in memory; nothing is extracted to disk.

        Raises:
            UserError: not a zip, no ratings in it, or a member that points outside the folder.
        """
        if not path.exists():
            raise UserError(f"{path}: there is no such file. Check data.path.")
        with as_user_error(f"{path} cannot be read as a zip"), zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            for member in members:
                if PurePosixPath(member).is_absolute() or ".." in PurePosixPath(member.replace("\\", "/")).parts:
                    raise UserError(f"{path} is not read: its member {member!r} points outside its folder.")
            name = PurePosixPath(self.member).name
            fit = [one for one in members if one == self.member] or [
                m for m in members if PurePosixPath(m).name == name
            ]
            if len(fit) != 1:
                what = f"more than one {name}" if fit else f"no {self.member}"
                raise UserError(f"{path} has {what}{self.others(members)}")
            size, most = archive.getinfo(fit[0]).file_size, self.max_bytes
            if size > most:
                raise UserError(f"{path}: {fit[0]} unpacks to {size:,} bytes, over data.max_bytes={most:,}.")
            raw = archive.read(fit[0])  # never more than it says: zipfile checks
        if not raw.strip():
            raise UserError(f"{path}: {fit[0]} is empty.")
        return [Part(f"{path}: {fit[0]}", raw)]

    def read(self, content: list[Part]) -> Events:
        header = {"user": "userId", "item": "movieId", "rating": "rating", "timestamp": "timestamp"}
        columns = header if self.columns is None else {name: name for name in COLUMNS}
        plain = self.columns is not None
        layout = FileLayout(
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
