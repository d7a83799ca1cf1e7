"""`from hybrid_seq_gnn import load_run, load_study, train`."""

import subprocess
import sys

import jaxtyping
import numpy as np
import pandas as pd
import pytest

import hybrid_seq_gnn
from hybrid_seq_gnn import load_run, load_study, train
from hybrid_seq_gnn.api import run as run_module
from hybrid_seq_gnn.api.frames import data_of
from hybrid_seq_gnn.api.train import gone_if_refused
from hybrid_seq_gnn.errors import UserError
from tests.commands import results, succeed
from tests.use.trained import DATA, MEMORY, folder, run_of


def log_of(users=30, events=8, items=20):
    rng = np.random.default_rng(0)
    user, when = np.repeat(np.arange(users), events), np.arange(users * events)[::-1]
    return pd.DataFrame(
        {"user": user, "item": [f"ä {k}" for k in rng.integers(0, items, len(user))], "timestamp": when}
    )


def test_a_run_is_that_of_the_command_line(tmp_path):
    there = ["model.embedding_dim=8", "model.num_blocks=1", "training.epochs=1", "training.encoders=null"]
    words = ["data=synthetic", "data.users=60", "data.items=30", *there]
    succeed(*words, f"hydra.run.dir={tmp_path}", cwd=tmp_path)
    here, theirs = run_of("hybrid").results, results(tmp_path)
    assert here["identity"] == theirs["identity"]
    assert here["grouped_metrics"] == theirs["grouped_metrics"]
    assert here["config"] == theirs["config"]
    assert here["options"] == theirs["options"]
    assert {*here["overrides"]} == {*words, "seed=0"}


def test_a_frame_is_a_data_source_and_can_be_read_back(tmp_path):
    pl = pytest.importorskip("polars", reason="polars is not installed")
    log = log_of()
    run = train(log, folder=tmp_path / "a", **MEMORY)
    log.sample(frac=1, random_state=1).to_csv(tmp_path / "log.csv", index=False)
    for source in (
        pl.from_pandas(log),
        tmp_path / "log.csv",
        {"frame": log.rename(columns={"item": "sku"}), "item": "sku"},
    ):
        name, node = data_of(source, tmp_path / "b")
        assert name == "table"
        assert node["path"].startswith(str(tmp_path))
    again = train({"frame": log, "option": "table"}, folder=tmp_path / "c", **MEMORY)
    assert again.results["identity"] == run.results["identity"]
    assert len(load_run(tmp_path / "a").recommend(users=[0, 3], k=2)) == 4
    assert {*run.items} <= {*log["item"]}


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_refused_frame_leaves_a_finished_run_as_it_was(tmp_path):
    log = log_of()
    train(log, folder=tmp_path, model="markov")
    before = content(tmp_path)
    for data, message in (
        (log.head(100), "holds a finished run with another configuration or other data"),
        ({"frame": log.head(3), "usr": "x"}, "data.usr: there is no such setting"),
        ({"frame": log.head(3), "user": "usr"}, r"the frame has no column 'usr' \(data.user\); it has user, item"),
    ):
        with pytest.raises(UserError, match=message):
            train(data, folder=tmp_path, model="markov")
        assert content(tmp_path) == before
    train(log.assign(note=1), folder=tmp_path, model="markov")  # finished already
    assert content(tmp_path) == before
    assert len(load_run(tmp_path).recommend(users=[3], k=2)) == 2


def test_a_killed_run_of_a_frame_goes_on_and_another_frame_leaves_its_data(tmp_path, monkeypatch):
    log, settings = log_of(), {"model": {"option": "sasrec", "embedding_dim": 8}, "training": {"epochs": 2}}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hybrid_seq_gnn.run.run.Run.write", killed)
        with pytest.raises(KeyboardInterrupt):
            train(log, folder=tmp_path, **settings)
    (data,) = tmp_path.glob("data-*.parquet")
    with pytest.raises(UserError):
        train(log.assign(timestamp="never"), folder=tmp_path, **settings)
    assert [*tmp_path.glob("data-*.parquet")] == [data]
    assert train(log, folder=tmp_path, **settings).config["data"]["path"] == str(data)


def test_only_the_columns_of_a_frame_that_are_in_use_matter(tmp_path):
    log = log_of()
    odd = log.assign(note=[1, "x"] * 120, user_name=object())
    odd = pd.concat([odd, odd[["note"]]], axis=1)
    assert data_of(odd, tmp_path) == data_of(log, tmp_path)
    (data,) = tmp_path.iterdir()
    pd.testing.assert_frame_equal(pd.read_parquet(data), log)
    numbered = {"frame": log.set_axis([0, 1, 3], axis=1), "user": "0", "item": "1", "timestamp": "3"}
    assert {*train(numbered, folder=tmp_path / "run", model="markov").items} <= {*log["item"]}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (log_of().assign(item=[1, "x"] * 120), "the frame cannot be written as Parquet, whose columns .*column item"),
        (pd.concat([log_of(), log_of()[["user"]]], axis=1), r"the frame has 2 columns 'user' \(data.user\)"),
        (log_of().set_index("user"), "the frame has no column 'user'"),
    ],
)
def test_a_column_that_cannot_be_used_is_said_and_leaves_nothing(frame, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train(frame, folder=tmp_path / "run", model="markov")
    assert not (tmp_path / "run").exists()


def test_a_frame_is_recommended_for_in_time_order():
    run = run_of("hybrid")
    first, second, third = run.items[:3].tolist()
    frame = pd.DataFrame({"user": ["b", "a", "b"], "item": [first, second, third], "timestamp": [2, 0, 1]})
    found = run.recommend(frame, k=3)
    assert list(dict.fromkeys(found["user"])) == ["a", "b"]
    assert found[found["user"] == "b"]["item"].tolist() == run.recommend(history=[third, first], k=3)["item"].tolist()
    unordered = run.recommend(frame.drop(columns="timestamp"), k=3)
    expected = run.recommend(history=[first, third], k=3)["item"].tolist()
    assert unordered[unordered["user"] == "b"]["item"].tolist() == expected


def test_the_times_of_a_frame_are_read_as_in_training(tmp_path):
    log = log_of(users=12)
    days = pd.Timestamp("2026-01-28") + pd.to_timedelta(log["timestamp"], "D")
    written = log.assign(timestamp=days.dt.strftime("%d.%m.%Y"))
    plain = train(log, folder=tmp_path / "plain", model="markov")
    dates = train({"frame": written, "time_format": "%d.%m.%Y"}, folder=tmp_path / "dates", model="markov")
    best = plain.recommend(k=3).set_index("user")
    for run, times in (
        (plain, log["timestamp"].astype(str)),
        (plain, days.astype(str)),
        (plain, days.astype(str).astype("category")),
        (dates, written["timestamp"]),
        (dates, days),
    ):
        found = run.recommend(log.assign(timestamp=times).rename_axis("user"), k=3).set_index("user")
        pd.testing.assert_frame_equal(found.loc[best.index.unique()], best)
    for frame, message in (
        (written, "the timestamp of the frame cannot be read .*: holds neither numbers nor ISO 8601 dates"),
        (log.assign(timestamp=[1, "2"] * 48), "the timestamp of the frame cannot be read"),
        (pd.concat([log, log[["item"]]], axis=1), "the frame has several columns item. Name them differently"),
    ):
        with pytest.raises(UserError, match=message):
            plain.recommend(frame)


def test_alpha_is_that_of_the_fusion():
    np.testing.assert_allclose(run_of("linear").alpha([1, 50]), [0.3, 0.3], rtol=1e-6)
    curve = run_of("transitions").alpha([1, 10, 100])
    stored = run_of("transitions").results["alpha_curve"]["alpha"]
    np.testing.assert_allclose(curve, [stored[0], stored[9], stored[99]], rtol=1e-6)
    with pytest.raises(UserError, match="this model mixes nothing"):
        run_of("sasrec").alpha([1])


def test_a_run_is_compared_with_a_baseline():
    found = run_of("hybrid").compare(run_of("sasrec"), metrics=["NDCG@10"])
    row = found[found["group"] == "overall"].iloc[0]
    mine, base = (run_of(kind).results["test_metrics"]["NDCG@10"] for kind in ("hybrid", "sasrec"))
    assert row["difference"] == pytest.approx(mine - base)
    assert 0 <= row["p_holm"] <= 1


def test_a_study_has_runs_a_best_one_and_a_table():
    kinds = ("sasrec", "ease", "popularity")
    runs = [run_of(kind) for kind in kinds]
    study = load_study(f"{folder()}/[sep][aeo][sp]*")
    assert len(study.runs) == 3
    best = max(runs, key=lambda run: run.results["best_val_metric"])
    assert study.best().folder == best.folder
    table = study.leaderboard()
    assert table["model"].iloc[0] == best.results["options"]["model"]
    assert table["validation NDCG@10"].is_monotonic_decreasing


REFUSED = {
    "no group": ({"modle": "sasrec"}, "modle: there is no such group"),
    "no option": ({"model": "sasrek"}, "model=sasrek: there is no such option"),
    "no setting": ({"fusion": {"alfa": 0.5}}, "fusion.alfa: there is no such setting. Did you mean fusion.alpha"),
    "out of range": ({"fusion": {"alpha": 1.5}}, "fusion.alpha=1.5: expected"),
    "of the wrong type": ({"training": {"epochs": "many"}}, "training.epochs=many: expected a whole number"),
    "do not go together": ({"gnn": "lightgcn"}, "training=post_hoc does not train the gnn"),
    "no such file": ({"data": "nowhere.csv"}, "nowhere.csv: there is no such file. Check data.path."),
    "no UTF-8": ({"data": "caf\udce9.csv"}, "caf\udce9.csv: expected UTF-8. If it is a file or folder, rename it."),
    "no data": ({"data": 5}, "data=5: expected a DataFrame, a path"),
    "no column": ({"data": pd.DataFrame({"a": [1]})}, "has no column 'user' (data.user); it has a."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_command_line_refuses_is_refused_with_its_words(name, tmp_path):
    settings, message = REFUSED[name]
    with pytest.raises(UserError) as error:
        train(**{"data": DATA, "folder": tmp_path / "run", **settings})
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [train(DATA, model="popularity", seed=seed).folder for seed in range(3)]
    assert len({*folders}) == 3
    assert len(load_study("outputs").runs) == 3


def test_a_setting_without_effect_is_said(tmp_path, caplog):
    train(DATA, model="popularity", fusion={"alpha": 0.5}, folder=tmp_path)
    assert "fusion.alpha=0.5 has no effect" in caplog.text


def test_numbers_of_numpy_and_paths_are_plain_values(tmp_path, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would refuse such a seed
    log_of().to_csv(tmp_path / "log.csv", index=False)
    data = {"path": tmp_path / "log.csv", "columns": None, "min_user_events": 5}
    model, groups = {"option": "sasrec", "embedding_dim": 8}, {"short": 3, "long": 9}
    one, same = tmp_path / "one", tmp_path / "same"
    fitted = {"epochs": 1, "lr": 0.01}
    run = train(data, folder=one, seed=1, model=model, training=fitted, evaluation={"groups": groups})
    data["min_user_events"], model["embedding_dim"] = np.int64(5), np.array(8)
    fitted, groups = {"epochs": np.uint8(1), "lr": np.float64(0.01)}, {name: np.int32(groups[name]) for name in groups}
    again = train(data, folder=same, seed=np.int64(1), model=model, training=fitted, evaluation={"groups": groups})
    for key in ("identity", "config", "overrides"):
        assert again.results[key] == run.results[key]


def test_an_unfinished_run_is_said(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match=r"has no results\.json: the run has not finished"):
        load_run(tmp_path)


def test_the_package_is_imported_in_no_time_and_knows_its_names():
    slow = "{'torch', 'pandas', 'hydra'}"
    code = f"import sys, hybrid_seq_gnn; assert not {slow} & {{*sys.modules}}; print(hybrid_seq_gnn.train)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "function train" in done.stdout
    assert {*hybrid_seq_gnn.__all__} <= {*dir(hybrid_seq_gnn), *hybrid_seq_gnn.__all__}
    with pytest.raises(AttributeError, match="no attribute nothing"):
        hybrid_seq_gnn.nothing  # noqa: B018


def test_training_from_python_needs_no_hydra(tmp_path):
    code = (
        "import sys; from hybrid_seq_gnn import train; "
        f"train({DATA!r}, model='popularity', folder={str(tmp_path)!r}); "
        "assert not {'hydra', 'omegaconf'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_titles_are_read_once_a_run_and_may_be_gone(tmp_path, monkeypatch):
    (tmp_path / "titles.csv").write_text("item,title\n" + "".join(f"{k},Title {k}\n" for k in range(40)))
    settings = {"model": "popularity", "folder": tmp_path / "run"}
    train({**DATA, "titles": str(tmp_path / "titles.csv")}, **settings)
    run, reads = load_run(tmp_path / "run"), []
    real = run_module.titles_of
    monkeypatch.setattr(run_module, "titles_of", lambda *given: reads.append(given) or real(*given))
    history = run.items[:2].tolist()
    for _ in range(3):
        assert run.recommend(history=history, k=1)["title"][0].startswith("Title ")
    assert len(reads) == 1
    (tmp_path / "titles.csv").unlink()
    assert "title" not in load_run(tmp_path / "run").recommend(history=history)
    with pytest.raises(UserError, match="there is no such file"):
        run.recommend(history=history, titles=tmp_path / "titles.csv")


@pytest.mark.parametrize(("begun", "kept"), [(None, False), (".", True), ("first", True)])
def test_a_folder_is_kept_once_a_run_has_begun_in_it(begun, kept, tmp_path):
    folder = tmp_path / "run"

    def begin_and_fail():
        (folder / (begun or ".")).mkdir(parents=True)
        if begun:
            (folder / begun / "config.yaml").touch()
        raise UserError("diverged")

    with pytest.raises(UserError), gone_if_refused(folder):
        begin_and_fail()
    assert folder.exists() == kept
