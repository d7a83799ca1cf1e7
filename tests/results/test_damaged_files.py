"""What lies in an output folder may be damaged or of somebody else: it is refused in words, and never half believed."""

import json
import shutil
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn.compare.command import sides
from hybrid_seq_gnn.compare.render import report
from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.leaderboard import command as leaderboard
from hybrid_seq_gnn.report.facts import gather
from hybrid_seq_gnn.report.sections.learning import read_history
from hybrid_seq_gnn.report.studies import read
from hybrid_seq_gnn.results.load import load
from tests.damage import damaged
from tests.report.study_folder import complete
from tests.results.folders import random_ranks, write_run

bounded = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
DRAWS = {"resamples": 100, "seed": 0, "alpha": 0.05, "two_level": False}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    for name, model in (("base", "sasrec"), ("0", "hybrid"), ("1", "hybrid")):
        complete(write_run(folder / name, random_ranks(1), model=model, seed=int(name == "1")), 0.3)
    return folder


def whole(outputs):
    return json.loads((outputs / "0" / "results.json").read_text())


def in_words(act, *arguments, **named):
    """What a command gives, or its message: any other error is a fault."""
    try:
        return act(*arguments, **named)
    except UserError as error:
        return str(error)


@bounded
@given(data=st.data())
def test_any_results_file_is_read_or_refused_in_words(outputs, data):
    folder = outputs.with_name("mutated")
    shutil.copytree(outputs, folder, dirs_exist_ok=True)
    (folder / "0" / "results.json").write_bytes(data.draw(damaged(whole(outputs))))
    for as_csv in (False, True):
        in_words(leaderboard.run, Namespace(paths=[str(folder)], filter=[], sort="validation", csv=as_csv))
    found = in_words(sides, [str(folder / "base"), str(folder / "0")])
    if not isinstance(found, str):
        rows = in_words(compare, found[0], found[1], **DRAWS)
        if not isinstance(rows, str):
            report(rows, *found, alpha=0.05, two_level=False, whole=True)
    in_words(gather, [str(folder)], None, resamples=100)


@pytest.mark.parametrize("model", [None, {}, []])
def test_a_configuration_without_a_model_is_listed_or_said_to_be_damaged(model, outputs, tmp_path, capsys):
    shutil.copytree(outputs, tmp_path / "o")
    (tmp_path / "o" / "leaderboard.csv").write_text("folder,status\n0,pruned\n")
    results = whole(outputs)
    results["config"]["model"] = model
    (tmp_path / "o" / "0" / "results.json").write_text(json.dumps(results))
    table = leaderboard.run(Namespace(paths=[str(tmp_path / "o")], filter=[], sort="validation", csv=True))
    assert "hybrid" in str(table) or "config.model=[]: expected a mapping" in capsys.readouterr().err


def test_a_number_that_overflows_in_a_mean_is_refused(outputs):
    folder = outputs.with_name("overflowing")
    shutil.copytree(outputs, folder)
    results = whole(outputs)
    for value in (1e308, -1e300):
        results["grouped_metrics"]["overall"]["NDCG@10"] = value
        (folder / "0/results.json").write_text(json.dumps(results))
        ask = Namespace(paths=[str(folder / "0")], filter=[], sort="validation", csv=True)
        assert "grouped_metrics.overall.NDCG@10=" in in_words(leaderboard.run, ask)


@pytest.mark.parametrize("overall", [{}, {"NDCG@10": None}])
def test_a_run_without_its_validation_metric_is_refused(overall, outputs):
    folder = outputs.with_name(f"unvalidated{len(overall)}")
    shutil.copytree(outputs, folder)
    results = whole(outputs)
    results["validation_grouped_metrics"]["overall"] = overall
    (folder / "0/results.json").write_text(json.dumps(results))
    for as_csv in (False, True):
        ask = Namespace(paths=[str(folder / "0")], filter=[], sort="validation", csv=as_csv)
        assert "validation_grouped_metrics.overall" in in_words(leaderboard.run, ask)


ABOUT = {
    "name": "sweep", "storage": None, "question": "?", "objective": ["NDCG@10"], "space": {"seed": "0,1"},
    "fixed": ["a=1"], "variants": {"a": "b=1"}, "searched": True, "sampler": "tpe", "pruner": "none",
}  # fmt: skip
EPOCH = {"epoch": 1, "loss": 5.0, "validation": {"NDCG@10": 0.1}}


@bounded
@given(about=damaged(ABOUT), epoch=damaged(EPOCH))
def test_any_card_of_a_study_and_any_epochs_are_read_or_named(tmp_path_factory, about, epoch):
    folder = tmp_path_factory.getbasetemp()
    (folder / "study.json").write_bytes(about)
    (folder / "metrics.jsonl").write_bytes(json.dumps(EPOCH).encode() + b"\n" + epoch)
    sweep = read(folder)
    assert sweep.study is None and sweep.problem and sweep.title and sweep.objective
    history = read_history(folder / "metrics.jsonl")
    assert "cannot be read" in history if isinstance(history, str) else len(history["epoch"]) <= 2


COLUMN = {
    "nan": lambda rows: [float("nan")] * rows, "text": lambda rows: ["x"] * rows, "none": lambda rows: [None] * rows,
    "huge": lambda rows: [2**63 - 1] * rows, "negative": lambda rows: [-1] * rows, "zero": lambda rows: [0] * rows,
    "lists": lambda rows: [[1, 2]] * rows, "bytes": lambda rows: [b"\xff"] * rows, "float": lambda rows: [1.5] * rows,
    "bool": lambda rows: [True] * rows, "time": lambda rows: [np.datetime64("2020-01-01", "ns")] * rows,
    "mappings": lambda rows: [{"a": 1}] * rows,
}  # fmt: skip


@bounded
@given(data=st.data())
def test_any_rows_of_users_are_read_or_refused_in_words(outputs, data):
    folder = outputs.with_name("rows")
    shutil.copytree(outputs / "0", folder, dirs_exist_ok=True)
    path = folder / "per_user.parquet"
    frame = pd.read_parquet(path)
    column = data.draw(st.sampled_from(list(frame.columns)))
    kind = data.draw(st.sampled_from(list(COLUMN)))
    frame.assign(**{column: COLUMN[kind](len(frame))}).to_parquet(path, index=False)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    (run,) = load([folder]).runs
    rows = in_words(lambda: run.per_user)
    if not isinstance(rows, str):
        assert len(rows) == len(frame) and rows["rank"].min() >= 1
