"""Parquet parts in, Parquet parts out, on a cluster of two nodes: the same rows as without it."""

import subprocess
import sys

import pandas as pd
import pytest

from hybrid_seq_gnn import load_run
from hybrid_seq_gnn.evaluate.__main__ import main as evaluate
from hybrid_seq_gnn.recommend.__main__ import main as recommend
from tests.commands import refused
from tests.sweeps.test_launchers import TWO_NODES
from tests.use.trained import run_of


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Three parts of histories."""
    folder, items = tmp_path_factory.mktemp("parts"), run_of("hybrid").items
    for part in range(3):
        lists = [items[k % 17 : k % 17 + 2 + k % 4].astype(str).tolist() for k in range(40 * part, 40 * part + 40)]
        lists[0] = ["unknown"]
        users = [f"user {40 * part + k}" for k in range(40)]
        pd.DataFrame({"user": users, "history": lists}).to_parquet(folder / f"{part}.parquet")
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pytest.importorskip("ray.data", reason="needs hybrid_seq_gnn[ray]")
    up = subprocess.Popen([sys.executable, "-c", TWO_NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield up.stdout.readline().strip()
    up.communicate("\n", timeout=60)


def in_order(frame):
    return frame.sort_values(["user", *({"place"} & {*frame.columns})], ignore_index=True)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_cluster_gives_the_same_rows(parts, address, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.chdir(tmp_path)
    run, here = str(run_of("hybrid").folder), ["--histories", str(parts)]
    cluster = [*here, "--engine", "ray", "--address", address]
    recommend([run, *here, "--k", "3", "--explain", "--out", "one.parquet"])
    recommend([run, *cluster, "--k", "3", "--explain", "--out", "many"])
    one, many = pd.read_parquet("one.parquet"), pd.read_parquet("many")
    assert len(one) == 360
    pd.testing.assert_frame_equal(in_order(one), in_order(many), check_exact=False, rtol=1e-5)
    evaluate([run, *here, "--output", "a"])
    evaluate([run, *cluster, "--output", "b"])
    a, b = load_run("a"), load_run("b")
    pd.testing.assert_frame_equal(a.per_user, b.per_user, check_exact=False, rtol=1e-5)
    assert a.results["evaluated"] == b.results["evaluated"]
    assert a.results["evaluated"]["users_left_out"] == 3
    assert a.results["identity"] == b.results["identity"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "many", "one.parquet"]


def test_what_a_cluster_needs_is_said(parts, tmp_path):
    run = run_of("hybrid").folder
    assert "it needs --histories FILES and --out FOLDER" in refused(recommend, run, "--engine", "ray")
    assert "reads Parquet parts" in refused(evaluate, run, "--engine", "ray")
    assert "there is no such file" in refused(evaluate, run, "--histories", tmp_path / "none")
    (tmp_path / "there").mkdir()
    given = ["--histories", parts, "--engine", "ray", "--out", tmp_path / "there"]
    assert "is there already" in refused(recommend, run, *given)
