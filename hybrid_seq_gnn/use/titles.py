"""Titles of items, for people to read."""

import logging
from pathlib import Path

import numpy as np

from hybrid_seq_gnn.data.movielens import MovieLens
from hybrid_seq_gnn.data.prepare import cache_folder
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.data.titles import Titles, find, read_titles, titles_in
from hybrid_seq_gnn.files import expanded
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.run.identity import Config

log = logging.getLogger(__name__)


def titles_of(data: Config, given: str | Path | None = None, items: np.ndarray | None = None) -> Titles:
    """The title of each item by its id: whole numbers are there as numbers and as text.

    They are read from `given`, else from `data.titles`, else from the movies.dat, u.item or movies.csv in the zip or
    folder of MovieLens that `data.path` names, or that was downloaded. Without any, there are no titles; where
    `data.titles` is no longer there, the log says so.

    Args:
        data: of a configuration.
        given: a file, see `read_titles`.
        items: ids, at least one of which must have a title in a file that is given.

    Raises:
        UserError: the file cannot be read, or has titles of other items.
    """
    if given:
        return titles_in(given, items)
    if named := data.get("titles"):
        if expanded(str(named)).exists():
            return titles_in(named)
        log.warning("data.titles=%s: there is no such file here, so no titles are shown; another can be named.", named)
        return {}
    source: Source = build(data)
    if not isinstance(source, MovieLens):
        return {}
    path = cache_folder(source) / "downloads" / source.url.rpartition("/")[2]
    if source.path is not None:
        path = source.file()
        path = path.parent if path.is_file() and path.suffix != ".zip" else path
    part = find(path) if path.exists() else None
    return read_titles(part) if part else {}
