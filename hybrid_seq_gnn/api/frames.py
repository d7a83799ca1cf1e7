"""Data as Python has them: a pandas or Polars frame, a file, the name of an option, or settings."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hybrid_seq_gnn.data.layout import FileLayout, check_columns
from hybrid_seq_gnn.data.raw import PARQUET, Part
from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.files import atomic
from hybrid_seq_gnn.run.identity import Config
from hybrid_seq_gnn.run.options import option, options, updated

DataLike = Any  # a pandas or Polars DataFrame, a path, the name of an option, or a mapping of settings
DATA = "data-*.parquet"  # what a frame is written to, the sha256 of its content in its name
FIELDS = ("user", "item", "timestamp", "rating")


def to_pandas(frame: Any) -> pd.DataFrame:
    """A frame of pandas or Polars as one of pandas.

    Raises:
        UserError: it is none.
    """
    if not is_frame(frame):
        raise UserError(f"{type(frame).__name__}: expected a DataFrame of pandas or Polars.")
    return frame if isinstance(frame, pd.DataFrame) else frame.to_arrow().to_pandas()


def is_frame(value: Any) -> bool:
    """Whether a value is a frame of pandas or Polars."""
    return isinstance(value, pd.DataFrame) or hasattr(value, "to_arrow")


def data_of(source: DataLike, folder: Path, base: Config | None = None) -> tuple[str, Config]:
    """The option and the checked node of `data` that a source stands for.

    A frame is written to `folder`, see `written`. A path is that of a table. A mapping may hold `option`, `frame`, and
    any setting: `{"frame": frame, "user": "uid"}`.

    Args:
        base: settings of the same data without an option or a file of their own, None for the option's defaults.

    Raises:
        UserError: there is no such option, a setting is wrong, or a frame lacks a column.
    """
    if is_frame(source):
        source = {"frame": source}
    elif isinstance(source, str) and source in options("data"):
        source = {"option": source}
    elif isinstance(source, str | Path):
        source = {"path": str(source)}
    elif not isinstance(source, Mapping):
        raise UserError(
            f"data={source!r}: expected a DataFrame, a path, one of {', '.join(options('data'))}, or a dict."
        )
    settings, own = dict(source), None if base is None else option_name(base)
    if (frame := settings.pop("frame", None)) is not None:
        own = "table"
    name = settings.pop("option", None) or own or "table"
    if frame is not None and name != "table":
        raise UserError(f"data.option={name}: a DataFrame is a table.")
    node = base if base is not None and option_name(base) == name else option("data", name)
    node = updated("data", node, plain(settings))
    return name, node if frame is None else {**node, "path": str(written(to_pandas(frame), node, folder))}


def written(frame: pd.DataFrame, node: Config, folder: Path) -> Path:
    """The file in a folder with the columns of a frame that are in use, so that a run can be repeated and read back.

    Its content names it: it replaces the data of no other run.

    Raises:
        UserError: a column is missing, there twice, or of several types.
    """
    columns = {field: name for field in FIELDS if (name := node[field]) is not None}
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    check_columns(list(frame.columns), FileLayout(",", columns, settings=frozenset(FIELDS)), Part("the frame", PARQUET))
    with as_user_error("the frame cannot be written as Parquet, whose columns have one type each"):
        raw = frame[list(dict.fromkeys(columns.values()))].to_parquet(index=False)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(path := folder / DATA.replace("*", hashlib.sha256(raw).hexdigest()[:12])) as temporary:
        temporary.write_bytes(raw)
    return path


def plain(value: Any) -> Any:
    """A setting without types of NumPy and pathlib."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def option_name(node: Config) -> str:
    """The option of a node: its yaml has the name of the module of its class, but for MovieLens, with one for all."""
    return next((name for name in options("data") if option("data", name)["_target_"] == node["_target_"]), "table")
