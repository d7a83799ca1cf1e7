"""`recommend` and `evaluate` as commands: files, messages, and what they leave behind."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybrid_seq_gnn import load_run, train
from hybrid_seq_gnn.evaluate.__main__ import main as evaluate
from hybrid_seq_gnn.recommend.__main__ import main as recommend
from tests.commands import refused
from tests.use.trained import folder, run_of


@pytest.fixture(scope="module")
def run():
    return run_of("hybrid")


def said(capsys, command, *arguments):
    command([str(one) for one in arguments])
    return capsys.readouterr().out


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_file_holds_the_items_of_every_user(ending, run, tmp_path, capsys):
    out = tmp_path / "new" / f"recs.{ending}"
    text = said(capsys, recommend, run.folder, "--k", 3, "--out", out)
    assert "3 items for 60 users" in text
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True)}
    found = read[ending](out)
    pd.testing.assert_frame_equal(found, run.recommend(k=3), check_dtype=False, rtol=1e-5)
    assert found.groupby("user")["place"].agg(list).tolist() == [[1, 2, 3]] * 60
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_shards_together_are_the_whole(run, tmp_path):
    for part in (1, 2, 3):
        recommend([str(run.folder), "--shard", f"{part}/3", "--k", "2", "--out", str(tmp_path / f"{part}.parquet")])
    together = pd.concat([pd.read_parquet(tmp_path / f"{part}.parquet") for part in (1, 2, 3)])
    whole = run.recommend(k=2)
    by = ["user", "place"]
    pd.testing.assert_frame_equal(together.sort_values(by, ignore_index=True), whole.sort_values(by, ignore_index=True))


def test_histories_are_streamed_from_parquet(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.use.parts.USERS", 7)
    monkeypatch.setattr("hybrid_seq_gnn.use.recommend.A_PART", 4)
    items = run.items.tolist()
    lists = [items[k % 20 : k % 20 + k % 5] for k in range(23)]
    lists[3] = ["nothing"]
    table = pa.table({"user": [f"ü {k}" for k in range(23)], "history": [list(map(str, one)) for one in lists]})
    pq.write_table(table, tmp_path / "in.parquet")
    text = said(
        capsys, recommend, run.folder, "--histories", tmp_path / "in.parquet", "--k", 4, "--out", tmp_path / "o.csv"
    )
    assert "for 23 users; 1 event of items that the model does not know was left out; 6 histories were" in text
    found = pd.read_csv(tmp_path / "o.csv")
    assert list(dict.fromkeys(found["user"])) == [f"ü {k}" for k in range(23)]
    for part in ("1/2", "2/2"):  # every other row, also where a batch has an odd number of them
        given = ["--histories", tmp_path / "in.parquet", "--k", 4, "--shard", part, "--out", tmp_path / "s.csv"]
        said(capsys, recommend, run.folder, *given)
        users = list(dict.fromkeys(pd.read_csv(tmp_path / "s.csv")["user"]))
        assert users == [f"ü {k}" for k in range(int(part[0]) - 1, 23, 2)]
    for user in (1, 4, 22):
        alone = run.recommend(history=lists[user], k=4)
        assert found[found["user"] == f"ü {user}"]["item"].tolist() == alone["item"].tolist()


def test_one_history_is_shown(run, capsys):
    first, second = run.items[:2]
    text = said(capsys, recommend, run.folder, "--history", f"{first} {second}", "--k", 2)
    again = said(capsys, recommend, run.folder, "--history", first, "--history", second, "--k", 2)
    assert text == again
    expected = run.recommend(history=[first, second], k=2)
    assert [line.split()[2] for line in text.splitlines()[1:3]] == expected["item"].astype(str).tolist()


def test_users_are_named_or_listed_in_a_file(run, tmp_path, capsys):
    user, other = run.per_user["user"][:2]
    (tmp_path / "users.txt").write_bytes(f"\ufeff{other} \r\n\r\n\t{user}\n".encode())
    named = said(capsys, recommend, run.folder, "--users", f"{other},{user}", "--k", 2, "--before", "test")
    listed = said(capsys, recommend, run.folder, "--users", tmp_path / "users.txt", "--k", 2, "--before", "test")
    assert named == listed
    assert [line.split()[0] for line in named.splitlines()[1:5]] == [str(one) for one in (other, other, user, user)]


def test_users_of_another_log_need_no_training(run, tmp_path, capsys):
    items = run.items
    rows = [("neu", items[3], 5), ("neu", items[1], 4), ("alt", items[2], 9), ("alt", "unbekannt", 1)]
    pd.DataFrame(rows, columns=["who", "what", "when"]).to_csv(tmp_path / "log.csv", index=False)
    columns = [
        "data=table",
        f"data.path={tmp_path / 'log.csv'}",
        "data.user=who",
        "data.item=what",
        "data.timestamp=when",
    ]
    text = said(capsys, recommend, run.folder, *columns, "--k", 2)
    assert "for 2 users; 1 event of items" in text
    expected = [*run.recommend(history=items[[1, 3]], k=2)["item"], *run.recommend(history=items[[2]], k=2)["item"]]
    assert [line.split()[2] for line in text.splitlines()[1:5]] == [str(one) for one in expected]


def test_a_limit_on_the_users_of_the_training_is_none_for_those_of_another_log(tmp_path, capsys):
    rows = [(user, (user + k) % 9, k) for user in range(20) for k in range(5)]
    pd.DataFrame(rows, columns=["user", "item", "timestamp"]).to_csv(tmp_path / "log.csv", index=False)
    few = {"option": "table", "path": str(tmp_path / "log.csv"), "max_users": 8}
    train(few, model="popularity", folder=tmp_path / "run")
    for more in ((), ("data.max_users=null", "data.k_core=0")):
        told = said(capsys, recommend, tmp_path / "run", f"data.path={tmp_path / 'log.csv'}", *more, "--k", 3)
        assert "The first of 20" in told
    told = said(capsys, evaluate, tmp_path / "run", f"data.path={tmp_path / 'log.csv'}", "--output", tmp_path / "e")
    assert "on 8 users" in told
    assert "data.max_users=8" in told


BAD = {
    "no such folder": (["nowhere"], "nowhere: there is no such folder"),
    "k beyond the catalogue": (
        ["RUN", "--k", "31", "--out", "OUT/x.csv"],
        "k=31: expected a whole number from 1 to 30",
    ),
    "k of 0": (["RUN", "--k", "0"], "0 is not a whole number from 1 up"),
    "unknown user": (["RUN", "--users", "nobody", "--out", "OUT/x.csv"], "users: nobody is not in the training data"),
    "only unknown items": (["RUN", "--history", "a b", "--out", "OUT/x.csv"], "this model knows none of a, b"),
    "another ending": (["RUN", "--out", "OUT/x.txt"], "expected a name that ends in .parquet, .csv, .jsonl"),
    "not writable": (["RUN", "--out", "RUN/results.json/x.csv"], "cannot write"),
    "two questions": (["RUN", "--users", "all", "--history", "1"], "--users and --history both say for whom"),
    "empty shard": (
        ["RUN", "--history", "1", "--shard", "2/2", "--out", "OUT/x.csv"],
        "nobody to recommend for in --shard",
    ),
    "many users": (["RUN", "--users", ",".join(["nobody"] * 90), "--out", "OUT/x.csv"], "users: nobody, nobody"),
    "no shard": (["RUN", "--shard", "4/3", "--out", "OUT/x.csv"], "--shard 4/3: expected I/N"),
    "no setting": (["RUN", "data.pth=x"], "data.pth: there is no such setting"),
    "not data": (["RUN", "model=sasrec"], "model=sasrec: expected a setting of data"),
    "some users": (["RUN", "data.path=x.csv", "data.max_users=3"], "data.max_users=3 has no effect: all users of"),
    "a core": (["RUN", "data=table", "data.path=x.csv", "data.k_core=5"], "data.k_core=5 has no effect: all users of"),
    "a split": (["RUN", "data.path=x.csv", "data.split=leave_one_out"], "data.split=leave_one_out has no effect"),
    "no option": (["RUN", "data=nothing"], "data=nothing: there is no such option"),
    "no Parquet": (["RUN", "--histories", "OUT/none.parquet"], "none.parquet: there is no such file, nor a folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_leaves_nothing(name, run, tmp_path):
    arguments, message = BAD[name]
    words = [one.replace("RUN", str(run.folder)).replace("OUT", str(tmp_path)) for one in arguments]
    assert message in refused(recommend, *words)
    assert not list(tmp_path.iterdir())


def copy(run, tmp_path, **changes):
    """A copy of a run, some of its files replaced; None leaves one out."""
    target = tmp_path / "copy"
    target.mkdir(parents=True)
    for path in run.folder.iterdir():
        if path.is_file() and changes.get(path.stem, b"") is not None:
            (target / path.name).write_bytes(changes.get(path.stem) or path.read_bytes())
    return target


class Bomb:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return (open, ("bomb", "w"))


def pickled(content, path):
    import torch

    torch.save(content, path)
    return path.read_bytes()


@pytest.mark.parametrize("command", [recommend, evaluate])
def test_damaged_runs_are_refused_and_nothing_in_them_is_executed(command, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = (run.folder / "model.pt").read_bytes()
    results = json.loads((run.folder / "results.json").read_text())
    unsigned = json.dumps({**results, "sha256": {}}).encode()
    cases = {
        "has no results.json": {"results": None},
        "has no model.pt": {"model": None},
        "was changed after the run": {"model": whole[:-100]},
        "cannot be read": {"model": whole[: len(whole) // 2], "results": unsigned},
        "Weights only load failed": {"model": pickled({"model": Bomb()}, tmp_path / "b.pt"), "results": unsigned},
        "is not the model.pt of a run": {"model": pickled({"x": 1}, tmp_path / "f.pt"), "results": unsigned},
    }
    for number, (message, changes) in enumerate(cases.items()):
        (tmp_path / str(number)).mkdir()
        said = refused(command, copy(run, tmp_path / str(number), **changes))
        assert message in said, said
        assert "training.resume" not in said
    assert not (tmp_path / "bomb").exists()


def test_a_model_of_another_version_is_refused_with_its_reason(run, tmp_path):
    import torch

    state = torch.load(run.folder / "model.pt", weights_only=True)
    state["config"]["model"]["old_setting"] = 1
    results = json.loads((run.folder / "results.json").read_text())
    results |= {"sha256": {}, "versions": {"hybrid_seq_gnn": "0.0.9"}}
    target = copy(run, tmp_path, model=pickled(state, tmp_path / "s.pt"), results=json.dumps(results).encode())
    message = refused(recommend, target)
    assert "written by version 0.0.9" in message
    assert "model.old_setting: there is no such setting" in message


@pytest.mark.parametrize("kind", ["sasrec", "lightgcn"])
def test_a_model_from_before_a_setting_scores_as_it_did_then(kind, tmp_path):
    import torch

    from hybrid_seq_gnn.use.load import choose, load_trained

    run = run_of(kind)
    state = torch.load(run.folder / "model.pt", weights_only=True)
    if kind == "sasrec":
        del state["config"]["model"]["prior"], state["config"]["model"]["init"], state["model"]["prior"]
    else:
        del state["config"]["model"]["scale"]
    results = json.dumps(json.loads((run.folder / "results.json").read_text()) | {"sha256": {}}).encode()
    old = copy(run, tmp_path, model=pickled(state, tmp_path / "s.pt"), results=results)
    model = load_trained(choose(str(old))).model
    assert (model.prior, model.init) == (None, "random") if kind == "sasrec" else model.scale == 1.0


@pytest.mark.parametrize("kind", ["hybrid", "embeddings", "lightgcn", "markov"])
def test_the_same_data_give_the_same_ranks(kind, tmp_path, capsys):
    run = run_of(kind)
    said(capsys, evaluate, run.folder, "--output", tmp_path / "again")
    found = load_run(tmp_path / "again")
    pd.testing.assert_frame_equal(found.per_user, run.per_user)
    assert found.results["grouped_metrics"] == run.results["grouped_metrics"]
    assert found.results.get("alpha_stats") == run.results.get("alpha_stats")


def test_another_log_is_ranked_by_its_known_items(run, tmp_path, capsys):
    items, rng = run.items, np.random.default_rng(3)
    rows = [(f"user {u}", items[rng.integers(30)], t) for u in range(8) for t in range(6)]
    rows += [("user 0", "unknown", 2.5), ("user 1", "unknown", 99), ("user 2", "other", 0.5)]
    log = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    log.to_csv(tmp_path / "log.csv", index=False)
    text = said(
        capsys, evaluate, run.folder, "data=table", f"data.path={tmp_path / 'log.csv'}", "--output", tmp_path / "o"
    )
    assert "Left out: 2 events of items that the model does not know, and 1 user whose" in text
    found = load_run(tmp_path / "o")
    assert found.per_user["user"].tolist() == [
        "user 0",
        *(f"user {k}" for k in range(2, 8)),
    ]  # the last of 1 is unknown
    for user, target, rank in found.per_user[["user", "target", "rank"]].itertuples(index=False):
        mine = log[(log["user"] == user) & log["item"].isin(items)].sort_values("timestamp")["item"].tolist()
        assert mine[-1] == target
        best = run.recommend(history=mine[:-1], k=30, include_seen=True)
        left = [item for item in best["item"] if item not in mine[:-1] or item == target]
        assert left.index(target) + 1 == rank
    other = run_of("sasrec").evaluate({"option": "table", "path": str(tmp_path / "log.csv")}, tmp_path / "s")
    differences = found.compare(other)
    assert set(differences["users"]) == {7, 0}
    assert np.isfinite(differences["difference"].iloc[0])


def test_a_folder_with_other_results_is_not_overwritten(run, tmp_path):
    message = refused(evaluate, run.folder, "--output", run_of("sasrec").folder)
    assert "holds the results of something else" in message
    assert load_run(run_of("sasrec").folder).results["options"]["model"] == "sasrec"
    assert "holds the results of something else" in refused(evaluate, run.folder, "--output", run.folder)
    assert load_run(run.folder).results["address"]


def test_a_log_with_no_known_item_is_refused(run, tmp_path):
    pd.DataFrame({"user": [1] * 6, "item": list("abcdef"), "timestamp": range(6)}).to_csv(
        tmp_path / "l.csv", index=False
    )
    message = refused(evaluate, run.folder, "data=table", f"data.path={tmp_path / 'l.csv'}", "--output", tmp_path / "o")
    assert "no user can be evaluated" in message
    assert not (tmp_path / "o").exists()


def test_a_study_gives_its_best_run_on_validation(capsys):
    runs = [run_of(kind) for kind in ("sasrec", "ease", "popularity")]
    text = said(capsys, recommend, f"{folder()}/[sep][aeo][sp]*", "--users", runs[0].per_user["user"][0])
    best = max(runs, key=lambda one: one.results["best_val_metric"])
    assert f"{best.folder}: 10 items" in text
