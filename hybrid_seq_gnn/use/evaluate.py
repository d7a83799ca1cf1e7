"""A trained model, ranked on other data whose items have the same ids: next month's log, say."""

from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hybrid_seq_gnn import files
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.alpha import alpha_statistics
from hybrid_seq_gnn.evaluation.groups import OVERALL, grouped_metrics
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.results.runs import FinishedRun
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.run.folder import lock_folder
from hybrid_seq_gnn.run.identity import Config, digest, identity
from hybrid_seq_gnn.use.histories import Histories, cut, known
from hybrid_seq_gnn.use.load import Trained
from hybrid_seq_gnn.use.recommend import batches, require_users

OF_THE_TRAINING = ("baseline", "address", "stages")  # not of other data


@dataclass(frozen=True)
class Ranked:
    """What a model makes of other data.

    Attributes:
        users: a row per user who can be ranked, as in per_user.parquet.
        data: the card of the data, for results.json.
        unknown: events that were left out, as the model does not know their items.
        left_out: users whose held-out item is unknown, or has no known item before it.
    """

    users: pd.DataFrame
    data: dict[str, Any]
    unknown: int
    left_out: int


def rank(trained: Trained, histories: Histories, targets: np.ndarray) -> pd.DataFrame:
    """The rank of each user's held-out item: a row per user, as in per_user.parquet, and rank 0 where there is none.

    One more column, `before`, is a hash of the ids of the history.

    Args:
        histories: what came before.
        targets: (U,) numbers of the held-out items; 0 is unknown.
    """
    require_users(trained, histories)
    ranks, alpha = np.zeros(len(histories), dtype=np.int64), np.full(len(histories), np.nan)
    for rows, batch, seen in batches(trained, histories):
        with torch.inference_mode():
            scores = trained.model.next_item_scores(batch)  # type: ignore[operator]
            column = torch.from_numpy(targets[rows]).to(trained.device)
            ranks[rows] = rank_of_target(scores.all(), column, seen if trained.mask_history else seen[:, :0]).cpu()
        if scores.alpha is not None:
            alpha[rows] = scores.alpha.cpu()
    groups = build(trained.config["evaluation"]).groups.group_of(histories.lengths)
    ids = np.concatenate([trained.item_ids[:1], trained.item_ids])[targets]
    columns = {"user": histories.users, "target": ids, "length": histories.lengths, "group": groups}
    columns |= {"rank": np.where(targets > 0, ranks, 0), "alpha": alpha, "before": hashes(trained, histories)}
    return pd.DataFrame(columns)


def hashes(trained: Trained, histories: Histories) -> list[str]:
    """A hash of the ids of each history, which does not depend on their numbers."""
    codes = trained.codes[histories.items - 1]
    ends = histories.indptr.tolist()
    return [blake2b(codes[a:b].tobytes(), digest_size=16).hexdigest() for a, b in pairwise(ends)]


def rank_data(trained: Trained, node: Config) -> Ranked:
    """Rank the test events of other data, each after the known items before it.

    Args:
        node: the settings of the data, checked.

    Raises:
        UserError: no user can be ranked.
    """
    prepared = prepare(build(node))
    ours, test = prepared.sequences, prepared.split.test
    rows = np.flatnonzero(test >= 0)
    first = ours.indptr[rows]
    numbers = np.concatenate([[0], trained.numbers(ours.item_ids)])[ours.items]
    before = cut(ours.user_ids[rows], first, first + test[rows], numbers, None)
    histories = known(before.users, before.indptr, before.items)
    same = prepared.split_hash == trained.split_hash
    histories = replace(histories, rows=rows) if same else histories
    found = summed_up(trained.item_ids, rank(trained, histories, numbers[first + test[rows]]), histories.unknown)
    found.data["filters"] = list(prepared.log)
    if same:  # it can be compared with runs
        found.data.update(hash=prepared.data_hash, split_hash=prepared.split_hash)
    return found


def summed_up(candidates: np.ndarray, frame: pd.DataFrame, unknown: int) -> Ranked:
    """The rows of `rank` that have a rank, and a card of the data.

    Its hash is that of users, histories, held-out items and candidates: results with another one cannot be compared.

    Args:
        candidates: ids of all items of the model.

    Raises:
        UserError: there is none, or a user is there twice.
    """
    if len(twice := frame["user"][frame["user"].duplicated()]):
        raise UserError(f"the user {twice.iloc[0]} is there twice; a user is evaluated once. Leave a row out.")
    users = frame[frame["rank"] > 0].reset_index(drop=True)
    if users.empty:
        raise UserError(
            f"no user can be evaluated: of {len(frame):,} held-out items, none is an item of the training data with "
            "such an item before it. Do both logs use the same item ids?"
        )
    what = users[["user", "target", "length", "before"]].sort_values("user", kind="stable").to_csv(index=False)
    mine = digest([sha256(what.encode()).hexdigest(), sorted(candidates.astype(str).tolist())])
    users = users.drop(columns="before")
    card: dict[str, Any] = {"hash": mine, "split_hash": mine, "users": len(users)}
    card |= {"items": users["target"].nunique(), "events": int(users["length"].sum()) + len(users)}
    card |= {"groups": {name: int(count) for name, count in users["group"].value_counts().items()}}
    return Ranked(users, card, unknown, len(frame) - len(users))


def evaluate(run: FinishedRun, config: Config, option: str, ranked: Ranked, folder: Path | None = None) -> FinishedRun:
    """Write results.json and per_user.parquet as a run does.

    Args:
        run: the run of the model.
        config: its configuration, with the settings of the other data.
        option: their option, such as `table`.
        folder: to write to; None is a folder below outputs/evaluate/ that is named after run and data.

    Raises:
        UserError: the folder holds something else.
    """
    groups = build(config["evaluation"]).groups
    of_both = digest([identity(config, ranked.data["split_hash"]), run.results["identity"]])
    folder = folder or Path("outputs") / "evaluate" / f"{run.folder.resolve().name}-{of_both[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    lengths = ranked.users["length"].to_numpy()
    grouped = grouped_metrics(ranked.users["rank"].to_numpy(), lengths, groups)
    with lock_folder(folder, wait=True):
        before = files.read_json(folder / "results.json") if (folder / "results.json").exists() else None
        if before is not None and ("evaluated" not in before or before.get("identity") != of_both):
            raise UserError(f"{folder} holds the results of something else; choose another --output.")
        with files.atomic(folder / "per_user.parquet") as temporary:
            ranked.users.to_parquet(temporary, index=False)
        results: dict[str, Any] = {key: value for key, value in run.results.items() if key not in OF_THE_TRAINING}
        results |= {
            "config": config,
            "options": {**run.results["options"], "data": option},
            "identity": of_both,
            "data": ranked.data,
            "test_metrics": {key: value for key, value in grouped[OVERALL].items() if key != "count"},
            "grouped_metrics": grouped,
            "sha256": {"per_user.parquet": files.checksum(folder / "per_user.parquet")},
            "evaluated": {
                "run": str(run.folder),
                "trained_on": run.split_hash,
                "unknown_events": ranked.unknown,
                "users_left_out": ranked.left_out,
            },
        }
        if "alpha_stats" in results:
            results["alpha_stats"] = alpha_statistics(ranked.users["alpha"].to_numpy(), lengths, groups)
        files.write_json(folder / "results.json", results)
    return FinishedRun(folder, results)
