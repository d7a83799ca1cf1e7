"""per_user.parquet, read back and held against the results.json beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL, in_group
from hybrid_seq_gnn.run.record import change_of

if TYPE_CHECKING:
    import pandas as pd

NAME = "per_user.parquet"
COLUMNS = ("user", "target", "length", "group", "rank", "alpha")


def read_per_user(folder: Path, results: dict[str, Any]) -> "pd.DataFrame":
    """The rows of a run, as they stand in the file.

    Raises:
        UserError: the file is missing, cannot be read, or says something else than results.json.
    """
    import pyarrow.parquet as pq

    path = folder / NAME
    if not path.exists():
        raise UserError(f"{folder} has no {NAME}, without which nothing can be tested; run it again.")
    if change := change_of(path, results):
        raise UserError(change)
    with as_user_error(f"{path} cannot be read"):
        file = pq.ParquetFile(path)
        names, rows = file.schema_arrow.names, file.metadata.num_rows
        if missing := [column for column in COLUMNS if column not in names]:
            raise UserError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(names)}.")
        if rows != (users := results["grouped_metrics"][OVERALL]["count"]):
            raise UserError(f"{path} has {rows} users ({OVERALL}), {other(users)}")
        frame: pd.DataFrame = file.read(list(COLUMNS)).to_pandas(ignore_metadata=True)
    check(path, frame, results)
    return frame


def other(said: Any) -> str:
    return f"results.json beside it says {said}: the two are not of the same run."


def check(path: Path, frame: "pd.DataFrame", results: dict[str, Any]) -> None:
    """Refuse rows that no run can have written, or not the run of these results.

    Raises:
        UserError: names what is wrong.
    """
    from pandas.api.types import is_float_dtype, is_integer_dtype

    from hybrid_seq_gnn.evaluation.metrics import metrics

    kinds = {"length": is_integer_dtype, "rank": is_integer_dtype, "alpha": is_float_dtype}
    for column, is_one in kinds.items():
        if not is_one(frame[column].dtype) or (column != "alpha" and (frame[column] < 1).any()):
            raise UserError(f"{path}: column {column} does not hold what a run writes there.")
    for column in ("user", "target", "group"):
        whole = column != "group" and is_integer_dtype(frame[column].dtype)
        if not whole and not all(isinstance(one, str) for one in frame[column]):
            raise UserError(f"{path}: column {column} does not hold what a run writes there.")
    for group in GROUPS:
        rows = frame[in_group(frame["group"].to_numpy(), group)]
        expected = results["grouped_metrics"][group]
        if len(rows) != expected["count"]:
            raise UserError(f"{path} has {len(rows)} users ({group}), {other(expected['count'])}")
        for name, value in metrics(rows["rank"].to_numpy()).items():
            said = expected.get(name)
            if said is not None and (value is None or abs(value - said) > 1e-9):
                raise UserError(f"{path} gives {name} {value} ({group}), {other(said)}")
    if frame["user"].duplicated().any():
        raise UserError(f"{path} has a user twice: {frame['user'][frame['user'].duplicated()].iloc[0]}.")
