"""Recommendations as rows, and files of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import atomic
from hybrid_seq_gnn.use.explain import because, explain
from hybrid_seq_gnn.use.load import Trained
from hybrid_seq_gnn.use.recommend import Recommended

ENDINGS = (".parquet", ".csv", ".jsonl")


def rows_of(
    trained: Trained, found: Recommended, titles: Mapping[Any, str] | None = None, explained: bool = False
) -> pd.DataFrame:
    """One row per recommended item: user, place from 1, item, title if titles are known, score.

    Args:
        titles: by item id.
        explained: also alpha, the share of the sequence side in the score, and the events behind the graph side's.
    """
    user, place = np.nonzero(found.items)  # row by row, so in the order of users and places
    item = trained.item_ids[found.items[user, place] - 1]
    columns = {"user": found.histories.users[user], "place": place + 1, "item": item}
    if titles:
        columns["title"] = np.array([titles.get(one, "") for one in item.tolist()], dtype=object)
    columns["score"] = found.scores[user, place]
    if explained:
        why = explain(trained, found.histories, found.items)

        def name(number: int) -> str:
            one = trained.item_ids[number - 1]
            return (titles or {}).get(one) or str(one)

        columns["alpha"] = np.full(len(user), np.nan) if why.alpha is None else why.alpha[user]
        columns["sequence"] = why.share[user, place]
        columns["because"] = np.array(
            [because(why.reasons[u, p], why.weights[u, p], name) for u, p in zip(user, place, strict=True)],
            dtype=object,
        )
    return pd.DataFrame(columns)


@contextmanager
def writer(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yields what appends a frame to a file, which is there when all frames are written, and not before.

    Raises:
        UserError: its name has another ending than .parquet, .csv or .jsonl.
    """
    check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, ExitStack() as held:
        file: Any = None

        def append(frame: pd.DataFrame) -> None:
            nonlocal file
            first = file is None
            if path.suffix == ".parquet":
                rows = pa.Table.from_pandas(frame, preserve_index=False)
                file = file or held.enter_context(pq.ParquetWriter(temporary, with_text(rows.schema)))
                file.write_table(rows.cast(file.schema))
                return
            file = file or held.enter_context(temporary.open("w", encoding="utf-8", newline=""))
            if path.suffix == ".csv":
                frame.to_csv(file, index=False, header=first, lineterminator="\n")
            else:
                records = frame.astype(object).where(frame.notna(), None).to_dict("records")
                file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in records)

        yield append


def with_text(schema: pa.Schema) -> pa.Schema:
    """A schema in which the columns of text have that type also where there is no row yet to show it."""
    return pa.schema([one.with_type(pa.string()) if pa.types.is_null(one.type) else one for one in schema])


def check_ending(path: Path) -> None:
    """Refuse a file whose format its name does not say."""
    if path.suffix not in ENDINGS:
        raise UserError(f"--out {path}: expected a name that ends in {', '.join(ENDINGS)}.")
