"""What `recommend` says of histories: what was left out, how many got less, and what an argument is not."""

import pandas as pd
import pytest

from hybrid_seq_gnn.recommend.__main__ import main as recommend
from tests.commands import refused
from tests.use.test_commands import said
from tests.use.trained import run_of


@pytest.fixture(scope="module")
def run():
    return run_of("hybrid")


@pytest.fixture
def lists(run, tmp_path):
    """Of 12 users, user k has k unknown events and, from the third on, two known ones."""
    items = run.items[:2].astype(str).tolist()
    frame = pd.DataFrame({"user": range(12), "history": [["?"] * k + (items if k > 1 else []) for k in range(12)]})
    frame.to_parquet(tmp_path / "h.parquet")
    return ["--histories", tmp_path / "h.parquet", "--k", 1]


@pytest.mark.parametrize(
    ("shard", "unknown", "empty"),
    [
        ("1/1", 66, "2 histories were empty"),
        ("1/2", 30, "1 history was empty"),
        ("12/12", 11, None),
        ("2/12", 1, "1 h"),
    ],
)
def test_events_are_counted_for_the_users_of_the_shard(
    shard, unknown, empty, lists, run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("hybrid_seq_gnn.use.recommend.A_PART", 2)
    frame = pd.read_parquet(tmp_path / "h.parquet").explode("history").rename(columns={"history": "item"}).dropna()
    frame.to_csv(tmp_path / "log.csv", index=False)
    log = ["data=table", f"data.path={tmp_path / 'log.csv'}", "data.timestamp=null", "--k", 1]
    out = ["--shard", shard, "--out", tmp_path / "x.csv"]
    told = said(capsys, recommend, run.folder, *lists, *out)
    events = "1 event of items that the model does not know was" if unknown == 1 else f"{unknown} events of items"
    assert f"; {events}" in told and (empty or "x.csv") in told and ("empty" in told) == bool(empty)
    if shard in ("1/1",):  # user 0 has no event in a log
        assert f"; {events}" in said(capsys, recommend, run.folder, *log, *out)


def test_without_a_file_events_are_counted_for_the_users_that_are_shown(lists, run, capsys):
    told = said(capsys, recommend, run.folder, *lists)
    assert f"1 item for 10 users; {sum(range(10))} events of items that the model does not know were left out" in told
    assert "The first of 12" in told


@pytest.mark.parametrize(("had", "k", "told"), [(30, 3, "1 user"), (28, 3, "1 user"), (27, 3, None), (30, 1, "1 user")])
def test_users_with_fewer_candidates_are_told(had, k, told, run, capsys):
    history = ["--history", " ".join(map(str, run.items[:had])), "--k", k]
    text = said(capsys, recommend, run.folder, *history)
    what = f"fewer than {'1 candidate' if k == 1 else f'{k} candidates'} left (--include-seen adds"
    assert (what in text) == bool(told)
    assert ("up to" in text) == bool(told)
    assert "fewer" not in said(capsys, recommend, run.folder, *history, "--include-seen")


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("explained", [[], ["--explain"]])
def test_the_first_users_may_get_nothing(explained, ending, run, tmp_path, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.use.parts.USERS", 1)
    all_of_them = run.items.astype(str).tolist()
    rows = {"user": ["a", "b", "c"], "history": [all_of_them, all_of_them[:3], all_of_them]}
    pd.DataFrame(rows).to_parquet(tmp_path / "h.parquet")
    pd.DataFrame({"item": run.items, "title": "T"}).to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / f"x.{ending}"
    words = [
        run.folder,
        "--histories",
        tmp_path / "h.parquet",
        "--out",
        out,
        *explained,
        "--titles",
        tmp_path / "t.csv",
    ]
    recommend([*map(str, words), "--k", "2"])
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True)}
    found = read[ending](out)
    assert found["user"].tolist() == ["b", "b"] and found["title"].tolist() == ["T", "T"]
    if explained:
        assert all(isinstance(one, str) for one in found["because"])


@pytest.mark.parametrize(
    "words",
    [
        ["{0} {1}", "{2}"],
        ["{0}, {1}, {2}"],
        ["{0},{1},{2}"],
        [" {0} {1}  {2} "],
        ["{0}", "{1},{2}"],
        ["{0},", "{1} {2}"],
    ],
)
def test_a_history_may_be_typed_in_several_ways(words, run, capsys):
    first = run.items[[3, 1, 2]]
    plain = said(capsys, recommend, run.folder, *[word for one in first for word in ("--history", one)])
    typed = [part for word in words for part in ("--history", word.format(*first))]
    assert said(capsys, recommend, run.folder, *typed) == plain


@pytest.mark.parametrize("text", ["x,y,z", "x, y", "901,902"])
def test_commas_in_a_history_are_told(text, run):
    assert "--history takes ids with spaces between them" in refused(recommend, run.folder, "--history", text)
    assert "with spaces" not in refused(recommend, run.folder, "--history", text.replace(",", " "))


@pytest.mark.parametrize("name", ["header", "quotes", "missing"])
def test_a_list_of_users_that_is_none_is_told(name, run, tmp_path):
    user, path = run.per_user["user"].iloc[0], tmp_path / "users.txt"
    if name != "missing":
        path.write_text(f"user\n{user}\n" if name == "header" else f'"{user}"\n')
    message = refused(recommend, run.folder, "--users", path)
    assert "not in the training data" in message
    assert "a file that is there, with one id per line and neither header nor quotes" in message


def test_a_file_that_cannot_be_written_is_told_in_the_option_of_the_command(run):
    message = refused(recommend, run.folder, "--out", run.folder / "results.json" / "x.csv")
    assert "--out=…" in message and "--output" not in message
