"""What `evaluate` writes tells models and data apart: nothing is replaced, grouped or compared that is not the same."""

import numpy as np
import pandas as pd
import pytest

from hybrid_seq_gnn import load_run, train
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluate.__main__ import main as evaluate
from hybrid_seq_gnn.leaderboard.__main__ import main as leaderboard
from hybrid_seq_gnn.results.configurations import configurations
from hybrid_seq_gnn.results.runs import require_comparable
from tests.commands import refused
from tests.use.test_commands import said

ITEMS = 12


def log(step, users=20, items=ITEMS):
    rows = [(user, (user + step * k * k) % items, k, 1 + k % 5) for user in range(users) for k in range(6)]
    return pd.DataFrame(rows, columns=["user", "item", "timestamp", "rating"])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs on January, on February, and on a log with more items; and another log."""
    folder = tmp_path_factory.mktemp("months")
    logs = {"jan": log(1), "feb": log(5), "wide": log(1, 40, 3 * ITEMS)}
    for name, frame in logs.items():
        for seed in (0, 1):
            train(frame, model="popularity", seed=seed, folder=folder / name / f"run{seed}")
    log(7).to_csv(folder / "next.csv", index=False)
    return folder


def evaluated(place, name, seed=0):
    return load_run(place / name / f"run{seed}").evaluate(place / "next.csv")


def test_models_of_other_training_data_are_other_configurations(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = [evaluated(place, name, seed) for name in ("jan", "feb") for seed in (0, 1)]
    assert len({run.folder for run in runs}) == 4  # whose names are run0, run1, run0 and run1
    require_comparable([run._run for run in runs])
    found, notes = configurations([run._run for run in runs])
    assert [one.seeds for one in found] == [(0, 1), (0, 1)] and not notes
    assert [one.name[:11] for one in found] == ["trained_on="] * 2
    assert "trained_on" in said(capsys, leaderboard, "outputs")


def test_the_data_of_the_training_are_no_other_data(place, tmp_path):
    run = load_run(place / "jan" / "run0")
    again = run.evaluate({}, tmp_path / "e")
    assert again._run.identity == run._run.identity and again._run.trained_on is None


def test_models_with_other_candidates_are_not_compared(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = [evaluated(place, name) for name in ("jan", "wide")]
    assert both[0].per_user["target"].tolist() == both[1].per_user["target"].tolist()
    with pytest.raises(UserError, match="another split or other candidates"):
        both[0].compare(both[1])
    alike = evaluated(place, "jan").compare(evaluated(place, "feb"), "NDCG@10")
    assert {*alike["metric"]} == {"NDCG@10"}


@pytest.mark.parametrize("way", ["histories", "log"])
@pytest.mark.parametrize("before", [[3, 2, 5], [1, 2, 5], [1, 2]])
def test_other_histories_of_the_same_targets_are_other_data(before, way, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for history in ([1, 2, 3], before):
        rows = [(user, item, k) for user in range(6) for k, item in enumerate([*history, 7])]
        frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
        frame.to_csv("x.csv", index=False)
        frame.groupby("user")["item"].agg(list).to_frame("history").to_parquet("x.parquet")
        asked = ["--histories", "x.parquet"] if way == "histories" else ["data.path=x.csv", "data.min_user_events=3"]
        evaluate([str(place / "jan" / "run0"), *asked])
        found = sorted((tmp_path / "outputs" / "evaluate").iterdir())
    assert len(found) == 2
    with pytest.raises(UserError, match="cannot be compared"):
        require_comparable([load_run(one)._run for one in found])


def test_histories_and_the_log_of_them_are_the_same_data(place, tmp_path):
    log(7).groupby("user")["item"].agg(list).to_frame("history").to_parquet(tmp_path / "h.parquet")
    run = load_run(place / "jan" / "run0")
    evaluate([str(run.folder), "--histories", str(tmp_path / "h.parquet"), "--output", str(tmp_path / "e")])
    same = run.evaluate(place / "next.csv", tmp_path / "f")
    assert load_run(tmp_path / "e")._run.split_hash == same._run.split_hash


@pytest.mark.parametrize(
    ("settings", "rename"),
    [({"min_rating": 2}, {}), ({"item": "sku"}, {"item": "sku"}), ({"split": "global_time"}, {})],
)
def test_a_frame_is_read_with_the_settings_of_the_training(settings, rename, tmp_path):
    data = {"frame": log(1).rename(columns=rename), "rating": "rating", "min_user_events": 3, **settings}
    run, other = train(data, model="popularity", folder=tmp_path / "run"), log(7).rename(columns=rename)
    other.to_csv(tmp_path / "next.csv", index=False)
    ways = (other, {"frame": other}, tmp_path / "next.csv")
    found = [run.evaluate(way, tmp_path / str(k)).results for k, way in enumerate(ways)]
    assert len({one["data"]["split_hash"] for one in found}) == 1
    paths = [one["config"]["data"]["path"] for one in found]
    assert paths == [None, None, str(tmp_path / "next.csv")]  # what was a frame is nowhere to be read again


@pytest.mark.parametrize("user", [1, "u1", b"u1"])
def test_a_user_who_is_there_twice_is_refused(user, place, tmp_path):
    lists = [[1, 2, 3], [4, 5]]
    pd.DataFrame({"user": [user, user], "history": lists}).to_parquet(tmp_path / "h.parquet")
    message = refused(evaluate, place / "jan/run0", "--histories", tmp_path / "h.parquet", "--output", tmp_path / "e")
    assert f"the user {user.decode() if isinstance(user, bytes) else user} is there twice" in message
    assert not (tmp_path / "e").exists()


def test_users_that_are_bytes_are_written_as_text(place, tmp_path):
    rows = {"user": [b"u1", "ü".encode()], "history": [np.array([1, 2, 3]), np.array([4, 5])]}
    pd.DataFrame(rows).to_parquet(tmp_path / "h.parquet")
    evaluate([str(place / "jan/run0"), "--histories", str(tmp_path / "h.parquet"), "--output", str(tmp_path / "e")])
    assert load_run(tmp_path / "e").per_user["user"].tolist() == ["u1", "ü"]
