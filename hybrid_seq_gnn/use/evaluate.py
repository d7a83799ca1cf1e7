"""A trained model, ranked on other data whose items have the same ids: next month's log, say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_seq_gnn import files
from hybrid_seq_gnn.data.prepare import Prepared, prepare
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.alpha import alpha_statistics
from hybrid_seq_gnn.evaluation.groups import OVERALL, grouped_metrics
from hybrid_seq_gnn.results.runs import Run
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.run.folder import lock_folder, write_per_user
from hybrid_seq_gnn.run.identity import Config, identity
from hybrid_seq_gnn.training.measure import Measure
from hybrid_seq_gnn.use.load import Trained

OF_THE_TRAINING = ("baseline", "address", "stages", "metrics", "seconds_per_epoch")  # not of other data


@dataclass(frozen=True)
class Known:
    """Data in the numbers of a trained model.

    Attributes:
        prepared: the events of known items.
        unknown: events that are left out, as the model does not know their items.
        targets: held-out items that cannot be ranked: unknown, or with no known item before them.
    """

    prepared: Prepared
    unknown: int
    targets: int


def known(trained: Trained, prepared: Prepared) -> Known:
    """The test events of other data, and what came before them, without items that the model does not know.

    Raises:
        UserError: nothing is left.
    """
    ours, test = prepared.sequences, prepared.split.test
    if prepared.split_hash == trained.split_hash:
        return Known(prepared, 0, 0)
    if trained.knows_users:
        raise UserError(
            "this model (lightgcn) has learned a vector for each user of its training data and has no other."
        )
    numbers = np.concatenate([[0], trained.numbers(ours.item_ids)])[ours.items]
    before = np.concatenate([[0], np.cumsum(numbers > 0)])
    first = ours.indptr[:-1]
    at = first + np.maximum(test, 0)
    length = before[at] - before[first]
    can = (test >= 0) & (numbers[at] > 0) & (length > 0)
    if not can.any():
        raise UserError(
            f"no user can be evaluated: of {int((test >= 0).sum()):,} held-out items, none is an item of the training "
            "data with such an item before it. Do both logs use the same item ids?"
        )
    timestamps = None if ours.timestamps is None else ours.timestamps[numbers > 0]
    sequences = Sequences(before[ours.indptr], numbers[numbers > 0], timestamps, ours.user_ids, trained.item_ids)
    positions, none = np.where(can, length, -1), np.full(len(test), -1)
    split = Split(train_end=np.where(can, length, before[ours.indptr[1:]] - before[first]), valid=none, test=positions)
    data_hash = sequences.hash()
    left_out = int((numbers == 0).sum())
    mapped = Prepared(sequences, split, data_hash, split.hash(sequences, data_hash), prepared.log)
    return Known(mapped, left_out, int((test >= 0).sum() - can.sum()))


def evaluate(trained: Trained, run: Run, node: Config, option: str, folder: Path | None = None) -> tuple[Run, Known]:
    """Rank the held-out items of other data, and write results.json and per_user.parquet as a run does.

    Args:
        run: the run of the model.
        node: the settings of the data, checked.
        option: their option, such as `table`.
        folder: to write to; None is a folder below outputs/evaluate/ that is named after run and data.

    Raises:
        UserError: no user can be evaluated, or the folder holds something else.
    """
    found = known(trained, prepare(build(node)))
    settings = build(trained.config["evaluation"])
    measure = Measure(found.prepared, settings, trained.device, None)
    config = {**trained.config, "data": node}
    of_both = identity(config, found.prepared.split_hash)
    folder = folder or Path("outputs") / "evaluate" / f"{run.folder.resolve().name}-{of_both[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder, wait=True):
        if (folder / "results.json").exists() and files.read_json(folder / "results.json").get("identity") != of_both:
            raise UserError(f"{folder} holds the results of something else; choose another --output.")
        ranking = measure.rank(trained.model, found.prepared.split.test)
        write_per_user(folder / "per_user.parquet", found.prepared, ranking, settings.groups)
        grouped = grouped_metrics(ranking.ranks, ranking.lengths, settings.groups)
        results: dict[str, Any] = {key: value for key, value in run.results.items() if key not in OF_THE_TRAINING}
        results |= {
            "config": config,
            "options": {**run.results["options"], "data": option},
            "identity": of_both,
            "data": measure.card() | {"filters": list(found.prepared.log)},
            "test_metrics": {key: value for key, value in grouped[OVERALL].items() if key != "count"},
            "grouped_metrics": grouped,
            "sha256": {"per_user.parquet": files.checksum(folder / "per_user.parquet")},
            "evaluated": {"run": str(run.folder), "unknown_events": found.unknown, "targets_left_out": found.targets},
        }
        if ranking.alpha is not None:
            results["alpha_stats"] = alpha_statistics(ranking.alpha, ranking.lengths, settings.groups)
        files.write_json(folder / "results.json", results)
    return Run(folder, results), found
