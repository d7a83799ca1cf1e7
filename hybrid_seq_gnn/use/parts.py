"""Histories in Parquet, a row per user: one file, or a folder or glob of parts, here or on a Ray cluster.

The columns are `user` and `history`, a list of item ids, oldest first; a null among them is an unknown item. To
evaluate, the last item is held out.
"""

import glob
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.use.evaluate import rank
from hybrid_seq_gnn.use.histories import Histories, of_lists, require_some
from hybrid_seq_gnn.use.load import Trained, choose, load_trained
from hybrid_seq_gnn.use.recommend import recommend
from hybrid_seq_gnn.use.table import rows_of
from hybrid_seq_gnn.use.titles import titles_of

COLUMNS = ["user", "history"]
LISTS = [pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view, pa.types.is_null]
TEXT = [pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view]
BYTES = [pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view]
USERS = 1 << 13  # at a time


def files_of(path: Path) -> list[str]:
    """A Parquet file, or all of a folder or glob in the order of their names.

    Raises:
        UserError: there is none.
    """
    there = glob.escape(str(path)) if path.exists() else str(path)  # a name may hold what a glob has
    found = sorted(glob.glob(f"{there}/*.parquet" if path.is_dir() else there))
    if not found:
        raise UserError(f"--histories {path}: there is no such file, nor a folder or glob of .parquet files.")
    return found


def rows_in(paths: list[str]) -> int:
    """Rows of Parquet files with the two columns.

    Raises:
        UserError: there is none, one cannot be read or lacks a column, users are neither whole numbers nor text, or are
            text in one and numbers in another.
    """
    total, users = 0, {}
    for path in paths:
        with as_user_error(f"--histories {path} cannot be read as Parquet"):
            file = pq.ParquetFile(path)
            if missing := {*COLUMNS} - {*file.schema_arrow.names}:
                raise UserError(f"--histories {path} lacks the column {', '.join(sorted(missing))}.")
            if not file.metadata.num_rows:
                continue  # its columns may have any type
            kind = file.schema_arrow.field("history").type
            if not any(is_kind(kind) for is_kind in LISTS):
                raise UserError(f"--histories {path}: the column history holds {kind}, and not lists of item ids.")
            total += file.metadata.num_rows
            user = value_type(file.schema_arrow.field("user").type)
            text = any(is_kind(user) for is_kind in (*TEXT, *BYTES))
            if not text and not pa.types.is_integer(user):
                raise UserError(f"--histories {path}: the column user holds {user}; expected whole numbers or text.")
            users[text] = f"{user} in {path}"
    if not total:
        raise UserError(f"--histories {', '.join(paths[:3])}: there is no row. Write a row per user.")
    if len(users) > 1:
        raise UserError(f"--histories: the column user holds {' and '.join(users.values())}. Write all as text.")
    return total


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, also where it has a dictionary of them."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def lists_of(frame: pd.DataFrame) -> list[Any]:
    """The histories of a frame; a missing one is empty."""
    lists = ([] if one is None else one for one in frame["history"])
    return [one.tolist() if isinstance(one, np.ndarray) else list(one) for one in lists]


class Recommend:
    """Items for the rows of a frame.

    Args:
        run: the run's folder.
        k, include_seen: see `recommend`.
        explained, titles: see `rows_of`; titles are those of a file.
        device: of the model.
    """

    def __init__(self, run: str, k: int, include_seen: bool, explained: bool, titles: str | None, device: str) -> None:
        self.trained, self.k = load_trained(choose(run), device), k
        self.include_seen = include_seen or not self.trained.mask_history
        self.explained, self.titles = explained, titles_of(self.trained.config["data"], titles, self.trained.item_ids)

    def __call__(self, rows: pa.Table | pd.DataFrame) -> pd.DataFrame:
        frame = frame_of(rows)
        asked = of_lists(self.trained, frame["user"], lists_of(frame))
        parts = recommend(self.trained, asked, self.k, include_seen=self.include_seen)
        frames = [rows_of(self.trained, part, self.titles, self.explained) for part in parts]
        return pd.concat(frames, ignore_index=True)


class Rank:
    """Ranks of the last items of the rows of a frame: the columns of `evaluate.rank`, and `unknown`, events left out.

    Args:
        run: the run's folder.
        device: of the model.
    """

    def __init__(self, run: str, device: str) -> None:
        self.trained = load_trained(choose(run), device)

    def __call__(self, rows: pa.Table | pd.DataFrame) -> pd.DataFrame:
        frame = frame_of(rows)
        lists = lists_of(frame)
        targets = self.trained.numbers([one[-1] if one else "" for one in lists])
        before = [one[:-1] for one in lists]
        histories = of_lists(self.trained, frame["user"], before)
        return rank(self.trained, histories, targets).assign(unknown=histories.lost)


Job = Recommend | Rank


def histories_in(paths: list[str], trained: Trained, chosen: np.ndarray) -> Iterator[Histories]:
    """The chosen rows of Parquet files, some at a time."""
    start = 0
    for frame in frames_in(paths):
        rows = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(frame))] - start
        start += len(frame)
        if len(rows):
            part = frame.iloc[rows]
            yield of_lists(trained, part["user"], lists_of(part))


def require_known(paths: list[str], trained: Trained) -> None:
    """Refuse files whose histories hold no item that the model knows."""
    ids: list[Any] = []
    for frame in frames_in(paths):
        lists = lists_of(frame)
        if len(of_lists(trained, frame["user"], lists).items):
            return
        ids = ids or next(filter(None, lists), [])
    require_some(trained, 0, ids, "--histories")


def frames_in(paths: list[str]) -> Iterator[pd.DataFrame]:
    """The rows of Parquet files, some at a time."""
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(USERS, columns=COLUMNS):
            yield frame_of(batch, path)


def frame_of(rows: pa.RecordBatch | pa.Table | pd.DataFrame, path: str = "FILES") -> pd.DataFrame:
    """Rows as a frame. Where a list holds a null, pandas would make floats of its numbers; they stay what they are.

    Raises:
        UserError: a row has no user, or one that is bytes and no UTF-8.
    """
    if isinstance(rows, pd.DataFrame):
        return rows
    if rows["user"].null_count:
        raise UserError(f"--histories {path}: a row has no user. Fill it, or leave the row out.")
    frame: pd.DataFrame = rows.to_pandas(ignore_metadata=True)  # pandas may have written a column as an index
    kind = value_type(rows["user"].type)
    if any(is_kind(kind) for is_kind in BYTES):
        with as_user_error(f"--histories {path}: the column user holds bytes that are no UTF-8"):
            frame["user"] = rows["user"].cast(kind).cast(pa.string()).to_pandas()
    lists = rows["history"]
    if not pa.types.is_null(lists.type) and pc.list_flatten(lists).null_count:
        frame["history"] = pd.Series(lists.to_pylist(), dtype=object)
    return frame


def on_ray(paths: list[str], job: type[Job], arguments: tuple[Any, ...], address: str | None, out: Path) -> None:
    """The same on a Ray cluster: each worker loads the model once, and writes Parquet parts to a folder.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError("--engine ray needs Ray: pip install -c constraints.txt -e '.[ray]'.") from error
    with as_user_error(f"--address {address}: the Ray cluster cannot be reached"):
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = ray.data.read_parquet(paths, columns=COLUMNS)
        cluster: dict[str, float] = {"CPU": 1, **ray.cluster_resources()}
        spare = max(1, int(cluster["CPU"]) - 1)  # one core reads and writes
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=spare)
        made = rows.map_batches(
            job, fn_constructor_args=arguments, batch_size=USERS, batch_format="pyarrow", compute=pool
        )
        made.write_parquet(str(out.resolve()))
    finally:
        ray.shutdown()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that is there when everything is in it, and not before.

    Raises:
        UserError: there is something already.
    """
    if path.exists():
        raise UserError(f"{path} is there already; choose another folder, or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)).resolve()
    try:
        yield temporary
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
