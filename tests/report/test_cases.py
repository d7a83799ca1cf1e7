"""The cases of the report, on two runs of the command line."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from hybrid_seq_gnn import train
from hybrid_seq_gnn.files import locked
from hybrid_seq_gnn.report.sections.cases import BEST, EVENTS, LETTERS, PEOPLE, extremes, recommended
from hybrid_seq_gnn.use.histories import of_training
from tests.commands import SMALL, succeed
from tests.report.pages import report
from tests.use.trained import MEMORY

LONG = "A <b>title</b> & more than there is room for, so that it has to be cut somewhere"


def histories(path, swapped=False):
    rng = np.random.default_rng(0)
    rows = [[f"u{user}", *rng.permutation(30)[: rng.integers(5, 20)]] for user in range(60)]
    if swapped:
        rows[0][1:3] = rows[0][2:0:-1]
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, worker_id):
    """A folder with the runs of an encoder and its hybrid, which the processes of pytest share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared-cases"
    folder.mkdir(exist_ok=True)
    with locked(folder / "lock"):
        if not (folder / "hybrid/results.json").exists():
            histories(folder / "log.txt")
            titles = [LONG if item % 3 == 0 else f"Title {item}" for item in range(29)]
            (folder / "titles.csv").write_text("item,title\n" + "".join(f'{k},"{t}"\n' for k, t in enumerate(titles)))
            data = ["data=sequences", f"data.path={folder / 'log.txt'}", f"data.titles={folder / 'titles.csv'}"]
            small = [setting for setting in SMALL if not setting.startswith("data")]
            succeed(*data, *small, "hydra.run.dir=hybrid", cwd=folder)
    return folder


def section(folder):
    """The text of the section, without tags."""
    page = (folder / "report.html").read_text()
    found = re.search(r'<section id="cases">(.*?)</section>', page, re.DOTALL)
    return found[1]


def copied(runs, tmp_path):
    for name in ("hybrid", "outputs"):
        shutil.copytree(runs / name, tmp_path / name)
    return tmp_path / "hybrid", *(tmp_path / "outputs/encoders").iterdir()


def test_each_card_shows_the_ranks_of_the_runs_and_what_both_recommend(runs, tmp_path):
    encoder = next((runs / "outputs/encoders").iterdir())
    report(tmp_path, runs / "hybrid", encoder)
    text = section(tmp_path)
    ours, theirs = (pd.read_parquet(run / "per_user.parquet").set_index("user") for run in (runs / "hybrid", encoder))
    cards = re.findall(r"<article>(.*?)</article>", text, re.DOTALL)
    gain = (1 / ours["rank"] - 1 / theirs["rank"]).sort_values()
    assert len(cards) == min(PEOPLE, (gain > 0).sum()) + min(PEOPLE, (gain < 0).sum()) > PEOPLE
    users = [re.search(r"User (\w+)<", card)[1] for card in cards]
    gains = gain[users].tolist()
    up, down = ([x for x in gains if (x > 0) == sign] for sign in (True, False))
    assert gains == [*sorted(up, reverse=True), *sorted(down)]
    assert up[0] == gain.max() and down[0] == gain.min()
    rows = {user: items for user, *items in map(str.split, (runs / "log.txt").read_text().splitlines())}
    sure = 0
    for user, card in zip(users, cards, strict=True):
        ranks = re.search(r"rank (\d+) → (\d+)<", card).groups()
        assert [*map(int, ranks)] == [theirs["rank"][user], ours["rank"][user]]
        assert f"{ours['length'][user]} events, alpha {ours['alpha'][user]:.2f}" in card
        target = re.search(r'Held out</b> <span class="hit">(.*?)</span>', card)[1]
        assert target == shown(ours["target"][user])
        for rank, items in zip(map(int, ranks), re.findall(r"<ol>(.*?)</ol>", card), strict=True):
            listed = re.findall(r"<li( class=\"hit\")?>(.*?)</li>", items)
            assert len(listed) == 5
            assert [k + 1 for k, (hit, _) in enumerate(listed) if hit] == ([rank] if rank <= 5 else [])
            sure += rank <= 5 and listed[rank - 1][1] == target
        events = re.search(r"oldest first</b> (.*?)</p>", card)[1].removeprefix("… · ").split(" · ")
        assert events == [shown(item) for item in rows[user][:-1][-EVENTS:]]
        told = re.search(f"<b>{re.escape(target)}, because of</b> (.*?)</p>", card)[1]
        assert told == "no single event" or 0 < sum(map(float, re.findall(r"\((\d\.\d\d)\)", told))) <= 1.02
    assert sure > 5 and "the held-out item higher than" in text and "<b>title" not in text


def shown(item):
    """The title of an item in the page."""
    item = int(item)
    cut = LONG[: LETTERS - 1].rstrip() + "…"
    title = "item 29" if item == 29 else cut if item % 3 == 0 else f"Title {item}"
    return title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_of_equal_gains_the_first_user_comes_first_and_no_change_is_no_case():
    gain = [0.5, 0.5, 0.0, -0.2, 0.9, -0.2, 0.5]
    helped, hurt = extremes(pd.DataFrame({"user": [7, 2, 1, 9, 4, 3, 5], "gain": gain}))
    assert helped["user"].tolist() == [4, 2, 5, 7] and hurt["user"].tolist() == [3, 9]
    many = extremes(pd.DataFrame({"user": np.arange(99), "gain": np.ones(99)}))
    assert many[0]["user"].tolist() == [*range(PEOPLE)] and not len(many[1])


def test_without_a_model_or_with_other_data_one_sentence_says_so(runs, tmp_path):
    hybrid, encoder = copied(runs, tmp_path)
    (encoder / "model.pt").unlink()
    report(tmp_path / "a", hybrid, encoder)
    assert "needs both models and their data: " in section(tmp_path / "a")
    assert "has no model.pt" in section(tmp_path / "a") and "<article>" not in section(tmp_path / "a")
    log = runs / "log.txt"
    for change in (lambda: histories(log, swapped=True), log.unlink):
        try:
            change()
            report(tmp_path / "b", runs / "hybrid", next((runs / "outputs/encoders").iterdir()))
        finally:
            histories(log)
        text = section(tmp_path / "b")
        assert ("have changed since it was trained" in text) != ("there is no such file" in text)


def test_a_model_that_cannot_be_built_leaves_the_rest_of_the_report(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.use.load.load_trained", lambda run, device: None.size)
    report(tmp_path, runs / "hybrid", next((runs / "outputs/encoders").iterdir()))
    assert "hybrid/model.pt cannot be used: 'NoneType' object has no" in section(tmp_path).replace("&#39;", "'")


def test_a_broken_file_of_titles_leaves_the_ids(runs, tmp_path):
    titles = runs / "titles.csv"
    whole = titles.read_text()
    try:
        titles.write_text("item,title\n1\n")
        report(tmp_path, runs / "hybrid", next((runs / "outputs/encoders").iterdir()))
    finally:
        titles.write_text(whole)
    text = section(tmp_path)
    assert "titles of items: " in text and "titles.csv, line 2: expected item,title" in text
    assert "<article>" in text and "item 1" in text and "Title" not in text


def test_a_study_without_models_has_a_sentence_and_runs_without_a_hybrid_too(study, tmp_path):
    report(tmp_path / "a", study, "--criteria", "none")
    assert "needs both models and their data" in section(tmp_path / "a")
    report(tmp_path / "b", study / "base", "--criteria", "none")
    assert "no hybrid and baseline that can be compared" in section(tmp_path / "b")


def test_the_best_items_are_those_of_the_evaluation_also_where_the_held_out_one_was_had_before(tmp_path):
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"user": np.repeat(np.arange(40), 9), "item": rng.integers(0, 15, 360), "timestamp": range(360)})
    run = train(log, folder=tmp_path, **MEMORY)
    trained, per_user = run.trained, run.per_user
    histories, targets = of_training(trained, per_user["user"], "test"), trained.numbers(per_user["target"])
    again = [target in one.items for target, one in zip(targets, histories.parts(1), strict=True)]
    assert sum(again) > 3
    for items, target, rank in zip(recommended(trained, histories, targets), targets, per_user["rank"], strict=True):
        assert (items.tolist().index(target) + 1 == rank) if rank <= BEST else (target not in items)
