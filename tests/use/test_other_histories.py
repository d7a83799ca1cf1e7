"""Histories from elsewhere: logs and Parquet files as other programs write them."""

import pandas as pd
import pytest

from hybrid_seq_gnn import load_run
from hybrid_seq_gnn.evaluate.__main__ import main as evaluate
from hybrid_seq_gnn.recommend.__main__ import main as recommend
from tests.commands import refused
from tests.use.test_commands import said
from tests.use.trained import run_of


@pytest.fixture(scope="module")
def run():
    return run_of("hybrid")


@pytest.mark.parametrize("out", [[], ["--out", "x.csv"]])
def test_nobody_gets_what_is_popular_for_items_of_another_catalogue(out, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.use.parts.USERS", 1)
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"user": [1] * 6, "item": list("abcdef"), "timestamp": range(6)}).to_csv("log.csv")
    lists = pd.DataFrame({"user": [1, 2, 3], "history": [[], ["a", "b"], ["c"]]})
    lists.to_parquet("h.parquet")
    for asked in (["--histories", "h.parquet"], ["data=table", "data.path=log.csv"]):
        assert "this model knows none of a, b" in refused(recommend, run.folder, *asked, *out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.parquet", "log.csv"]
    lists["history"] = [[], ["a"], [str(run.items[0])]]
    lists.to_parquet("h.parquet")
    assert "for 3 users" in said(capsys, recommend, run.folder, "--histories", "h.parquet", "--out", "y.csv")


@pytest.mark.parametrize("kind", [int, str])
def test_users_may_be_the_index_of_a_frame_that_pandas_wrote(kind, run, tmp_path, capsys):
    log = pd.DataFrame([(kind(u), str(run.items[u + k])) for u in (1, 2) for k in range(3)], columns=["user", "item"])
    path = tmp_path / "h.parquet"
    log.groupby("user")["item"].agg(list).to_frame("history").to_parquet(path)
    shown = said(capsys, recommend, run.folder, "--histories", path, "--k", 1).splitlines()[1:3]
    assert [line.split()[0] for line in shown] == ["1", "2"]
    said(capsys, evaluate, run.folder, "--histories", path, "--output", tmp_path / "e")
    assert load_run(tmp_path / "e").per_user["user"].tolist() == [kind(1), kind(2)]


def test_parts_whose_users_are_text_and_numbers_are_refused(run, tmp_path):
    lists = [run.items[:3].astype(str).tolist()]
    pd.DataFrame({"user": ["u1"], "history": lists}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"user": [7], "history": lists}).to_parquet(tmp_path / "b.parquet")
    for command in (recommend, evaluate):
        message = refused(command, run.folder, "--histories", tmp_path)
        assert f"string in {tmp_path / 'a.parquet'} and int64 in {tmp_path / 'b.parquet'}" in message
    pd.DataFrame({"user": pd.Categorical(["u7"]), "history": lists}).to_parquet(tmp_path / "b.parquet")
    evaluate([str(run.folder), "--histories", str(tmp_path), "--output", str(tmp_path / "e")])
    assert load_run(tmp_path / "e").per_user["user"].tolist() == ["u1", "u7"]


@pytest.mark.parametrize(
    ("command", "given"),
    [(recommend, "--out=caf\udce9.parquet"), (evaluate, "data.path=x\udce9"), (evaluate, "--output=\udce9")],
)
def test_a_path_that_is_no_utf_8_is_refused_before_anything_is_done(command, given, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "\\udce9" in (message := refused(command, run.folder, given)) and "expected UTF-8" in message
    assert not [*tmp_path.iterdir()]


UNREADABLE = {
    "floats": [1.0, 2.5],
    "dates": list(pd.to_datetime(["2026-01-01", "2026-01-02"])),
    "lists": [[1], [2]],
    "bytes": [b"\xff", b"\xfe"],
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_users_that_are_neither_numbers_nor_text_are_refused(name, run, tmp_path):
    lists = [run.items[:3].tolist()] * 2
    pd.DataFrame({"user": UNREADABLE[name], "history": lists}).to_parquet(tmp_path / "h.parquet")
    for command, out in ((recommend, "--out"), (evaluate, "--output")):
        message = refused(command, run.folder, "--histories", tmp_path / "h.parquet", out, tmp_path / "x.jsonl")
        assert f"{tmp_path / 'h.parquet'}: the column user holds " in message
    assert [path.name for path in tmp_path.iterdir()] == ["h.parquet"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_users_that_are_bytes_are_text(ending, run, tmp_path):
    lists = [run.items[:3].tolist()] * 2
    pd.DataFrame({"user": pd.Categorical([b"u1", "ü".encode()]), "history": lists}).to_parquet(tmp_path / "h.parquet")
    out = tmp_path / f"x.{ending}"
    recommend([str(run.folder), "--histories", str(tmp_path / "h.parquet"), "--k", "1", "--out", str(out)])
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True)}
    assert read[ending](out)["user"].tolist() == ["u1", "ü"]


@pytest.mark.parametrize("kind", ["int64", "float64", "object"])
def test_a_file_without_rows_is_refused_and_may_lie_among_others(kind, run, tmp_path, capsys):
    empty = pd.DataFrame({"user": pd.Series([], dtype=kind), "history": []})
    empty.to_parquet(tmp_path / "a.parquet")
    for command in (recommend, evaluate):
        assert "a.parquet: there is no row" in refused(command, run.folder, "--histories", tmp_path / "a.parquet")
    pd.DataFrame({"user": ["u"], "history": [run.items[:3].tolist()]}).to_parquet(tmp_path / "b.parquet")
    assert "on 1 user." in said(capsys, evaluate, run.folder, "--histories", tmp_path, "--output", tmp_path / "e")


@pytest.mark.parametrize("name", ["h[1].parquet", "part [a]/x.parquet", "h?.parquet", "h*.parquet"])
@pytest.mark.parametrize("asked", ["file", "folder"])
def test_a_file_whose_name_reads_as_a_glob_is_itself(name, asked, run, tmp_path, capsys):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for other, user in ((tmp_path / "h1.parquet", "wrong"), (path, "right")):
        pd.DataFrame({"user": [user], "history": [run.items[:3].tolist()]}).to_parquet(other)
    if asked == "folder":
        (tmp_path / "h1.parquet").unlink()
    given = path if asked == "file" else path.parent
    shown = said(capsys, recommend, run.folder, "--histories", given, "--k", 1)
    assert "right" in shown and "wrong" not in shown and "for 1 user." in shown
