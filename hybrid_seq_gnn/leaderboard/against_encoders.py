"""The hybrids of a study against their encoders alone: one table, and one sentence that answers."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hybrid_seq_gnn.compare.table import by_family, compare
from hybrid_seq_gnn.evaluation.groups import OVERALL
from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.evaluation.significance import combined_p
from hybrid_seq_gnn.results.configurations import Configuration, group_seeds, name_configurations
from hybrid_seq_gnn.results.labels import Number
from hybrid_seq_gnn.results.run_table import answer, difference_cells
from hybrid_seq_gnn.results.runs import FinishedRun, read_run
from hybrid_seq_gnn.results.tables import markdown
from hybrid_seq_gnn.run.encoders import OUTPUTS, asked_alone, config_alone
from hybrid_seq_gnn.run.identity import identity

RESAMPLES = 2_000


class Pair(NamedTuple):
    """A configuration of hybrids, the encoders alone that they have inside with the same seeds, and the comparison.

    `rows` holds NDCG@10 by group: relative difference, its interval, p after Holm's correction.
    """

    hybrid: Configuration
    encoder: Configuration
    rows: Mapping[Any, Mapping[Any, Any]]


def against_encoders(runs: Iterable[FinishedRun]) -> str:
    """What to add to the leaderboard of a study; empty where no run has an encoder inside."""
    runs = list(runs)
    hybrids = [run for run in runs if config_alone(run.results["config"]) is not None]
    if not hybrids:
        return ""
    found = encoders_of(hybrids, runs)
    if missing := [run for run in hybrids if run.folder not in found]:
        return no_baseline(missing)
    pairs = sorted(compare_with_encoders(hybrids, found), key=lambda pair: pair.hybrid.validation, reverse=True)
    how = "one test" if len(pairs) == 1 else f"by Holm over the {len(pairs)} hybrids"
    title = f"Against the encoder alone, {METRIC} on test (p: {how}):"
    if len({run.split_hash for run in runs}) > 1:  # the best of different data is no answer
        return f"{title}\n\n{table(pairs)}"
    return "\n\n".join([title, table(pairs), answer(pairs[0].rows, called(pairs[0]))])


def called(best: Pair) -> str:
    """The best hybrid on validation, and whether its encoder alone is better there."""
    name, ours, theirs = best.hybrid.name, best.hybrid.validation, best.encoder.validation
    if ours >= theirs:
        return f"Best on validation is {name}"
    return f"On validation the best hybrid, {name} ({ours:.4f}), is below its encoder alone ({theirs:.4f}). On test"


def encoders_of(hybrids: Sequence[FinishedRun], beside: Sequence[FinishedRun]) -> dict[Path, FinishedRun]:
    """The finished run of each hybrid's encoder alone, by the hybrid's folder: as recorded, or any that is found."""
    wanted = {run.folder: identity_alone(run) for run in hybrids}
    known = {str(run.results.get("identity")): run for run in beside}
    recorded = [Path(run.results["baseline"]["folder"]) for run in hybrids if run.results.get("baseline")]
    for folder in dict.fromkeys(recorded):
        add(known, folder)
    if not set(wanted.values()) <= set(known):
        for path in sorted(OUTPUTS.rglob("results.json")):
            add(known, path.parent)
    return {folder: known[one] for folder, one in wanted.items() if one in known}


def add(known: dict[str, FinishedRun], folder: Path) -> None:
    """Note a finished run by its identity; what cannot be read is no baseline."""
    try:
        run = read_run(folder)
    except ValueError:
        return
    known.setdefault(str(run.results.get("identity")), run)


def identity_alone(run: FinishedRun, *, seed: bool = True) -> str:
    config = config_alone(run.results["config"])
    assert config is not None
    return identity(config, run.split_hash, seed=seed)


def compare_with_encoders(hybrids: Sequence[FinishedRun], encoders: dict[Path, FinishedRun]) -> list[Pair]:
    """Every configuration of hybrids with its encoders, tested; those of one encoder in one go.

    Differences are paired over users, seeds averaged first. p is corrected (Holm) over all hybrids for all users, and
    over all hybrids and groups for the groups.
    """
    import pandas as pd

    together, _ = group_seeds(hybrids)
    alone = [[encoders[run.folder] for run in runs] for runs in together]
    distinct = {folders(runs): runs for runs in alone}
    every = name_configurations([*together, *distinct.values()])
    encoder_of = dict(zip(distinct, every[len(together) :], strict=True))
    pairs = [(hybrid, encoder_of[folders(runs)]) for hybrid, runs in zip(every, alone, strict=False)]
    frame = pd.concat(
        compare(encoder, [hybrid for hybrid, its in pairs if its is encoder], [METRIC], resamples=RESAMPLES)
        for encoder in encoder_of.values()
    )
    p = combined_p(frame["p_t"].to_numpy(dtype=float), frame["p_permutation"].to_numpy(dtype=float), RESAMPLES)
    frame["p_holm"] = by_family(frame, p)  # over the hybrids of all encoders
    frame = frame.assign(low=frame["relative_low"], high=frame["relative_high"]).astype(object)
    rows_of = frame.where(frame.notna(), None).groupby("name")
    return [Pair(*pair, rows_of.get_group(pair[0].name).set_index("group").to_dict("index")) for pair in pairs]


def folders(runs: Iterable[FinishedRun]) -> tuple[Path, ...]:
    return tuple(run.folder for run in runs)


def table(pairs: Sequence[Pair]) -> str:
    """The encoders as baseline rows, then every hybrid, best on validation first."""
    header = ["configuration", "seeds", f"validation {METRIC}", METRIC, "difference", "95 % interval", "p (Holm)"]
    body: list[list[Any]] = []
    for encoder in {pair.encoder.name: pair.encoder for pair in pairs}.values():
        rows = next(pair.rows for pair in pairs if pair.encoder is encoder)
        name = f"baseline: {encoder.name}"
        body.append([name, len(encoder.runs), encoder.validation, rows[OVERALL]["baseline"], *[Number("")] * 3])
    for pair in pairs:
        row = pair.rows[OVERALL]
        line = [pair.hybrid.name, len(pair.hybrid.runs), pair.hybrid.validation, row["mean"]]
        body.append([*line, *difference_cells(row)])
    return markdown(header, body)


def no_baseline(missing: Sequence[FinishedRun]) -> str:
    """That there is nothing to compare with, and the command that mends it, with all seeds of the first encoder."""
    run, config = missing[0], config_alone(missing[0].results["config"])
    assert config is not None
    mine = identity_alone(run, seed=False)
    seeds = {other.seed for other in missing if identity_alone(other, seed=False) == mine}
    _, overrides = asked_alone(run.results["options"], run.results.get("overrides", []), config)
    overrides = [line for line in overrides if not line.startswith("seed=")]
    overrides.append(f"seed={','.join(map(str, sorted(seeds)))}")
    command = shlex.join(["python", "-m", "hybrid_seq_gnn", *overrides, *(["-m"] if len(seeds) > 1 else [])])
    return (
        "No baseline: the encoder alone has not been run with these settings, so nothing says whether a hybrid is "
        f"better.\nThis adds it (then give the command of this sweep again):\n\n    {command}"
    )
