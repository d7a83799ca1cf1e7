import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.report import sentences as answer
from hybrid_seq_gnn.report.__main__ import main
from hybrid_seq_gnn.report.facts import gather
from hybrid_seq_gnn.report.sections.cost import pareto_front
from hybrid_seq_gnn.report.style import inline, looks, save, style
from tests.report.study_folder import USERS, complete, outputs
from tests.results.folders import random_ranks, write_run

VOID = {"meta", "link", "br", "hr", "img", "input"}
RESAMPLES = "200"


class Page(HTMLParser):
    """A page that complains about tags that do not match, and keeps its tables and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tables, self.links, self.words = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def table(self, *header):
        """Rows of all tables that begin with these columns."""
        return [row for table in self.tables if table[0][: len(header)] == [*header] for row in table[1:]]


def report(folder, *arguments, draw=False):
    """The page of a report. Drawing takes most of the time, so only tests that look at figures draw them."""
    with pytest.MonkeyPatch.context() as patch:
        if not draw:
            patch.setattr("hybrid_seq_gnn.report.page.Section.figure", stand_in)
        main([*map(str, arguments), "--output", str(folder), "--resamples", RESAMPLES])
    return Page((folder / "report.html").read_text())


def stand_in(section, name, caption, draw, *numbers):
    """A caption without its figure."""
    section.add("text", caption, name=name)
    return True


def error(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    assert isinstance(stop.value.code, str)
    assert stop.value.code.startswith("error: ")
    return stop.value.code


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return outputs(tmp_path_factory.mktemp("study") / "outputs")


@pytest.fixture(scope="module")
def reported(study):
    folder = study.parent / "report"
    return folder, report(folder, study, draw=True)


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(reported):
    folder, page = reported
    assert len(page.ids) == len(set(page.ids)) > 50
    text = (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//|url\(\s*["']?https?:|@import""", text)
    for link in page.links:
        assert link.startswith("data:") or (link[1:] in page.ids if link[0] == "#" else (folder / link).is_file()), link


def test_the_answer_comes_first_and_says_for_whom_and_how_sure(reported):
    _, page = reported
    assert "Yes: fusion.alpha=0.3 is better than the baseline model=sasrec, by" in page.text
    assert page.text.index("Yes: ") < page.text.index("Leaderboard")
    assert "Short histories (60 users): significantly better" in page.text
    assert "The baseline got fewer tuning trials than a challenger: 1 configuration of its model against" in page.text
    assert "Seeds: 2 of the baseline, 2 of fusion.alpha=0.3" in page.text


def test_every_number_of_the_tables_is_that_of_compare(study, reported):
    _, page = reported
    facts = gather([str(study)], None)
    frame = compare(facts.baseline, facts.others, resamples=int(RESAMPLES))
    shown = page.table("configuration", "group", "users", "seeds", "baseline", "mean")
    assert len(shown) == len(frame) == 5 * 3 * 4
    keys = ["metric", "name", "group"]
    expected = frame.sort_values(keys, key=lambda c: c.map({"NDCG@10": "0", "HR@10": "1", "MRR@10": "2"}).fillna(c))
    by_row = {(row[0], row[1], row[5], row[7]): row for row in shown}
    for row in expected.to_dict("records"):
        line = by_row[row["name"], row["group"], f"{row['mean']:.4f}", f"{row['difference']:+.4f}"]
        assert line[4] == f"{row['baseline']:.4f}"
        assert line[8] == f"{row['low']:+.4f} to {row['high']:+.4f}"
        assert line[13] == ("<0.0001" if row["p_holm"] < 0.00005 else f"{row['p_holm']:.4f}")
        assert line[16] == f"{row['wins']}/{row['ties']}/{row['losses']}"
    board = {row[0]: row for row in page.table("configuration", "seeds", "validation NDCG@10", "NDCG@10")}
    assert list(board) == [one.name for one in facts.configurations]
    for row in frame[(frame["metric"] == "NDCG@10") & (frame["group"] == "overall")].to_dict("records"):
        line = board[row["name"]]
        assert line[3] == f"{row['mean']:.4f} ± {row['sd_over_seeds']:.4f}"
        assert line[4].startswith(f"{row['difference']:+.4f} (")
        assert line[6][0] == ("=" if not row["significant"] else "▲" if row["difference"] > 0 else "▼")


def test_what_users_name_is_text_and_never_markup(reported):
    folder, page = reported
    text = (folder / "report.html").read_text()
    assert "<script" not in text
    assert "fusion=<script>alert(1)</script> & $x$" in page.text  # in tables and, dollar and all, in figures
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 5


def test_every_figure_is_in_the_page_and_beside_it_and_not_empty(reported):
    folder, page = reported
    expected = {"difference-by-group-ndcg10", "by-group-ndcg10", "by-length", "gain-by-length", "alpha-by-length"}
    expected |= {"alpha-grid", "ablation", "cost-time", "cost-memory", "learning"}
    expected |= {f"search-1-{kind}" for kind in ("history", "importance", "slice", "contour")}
    assert {f"figure-{name}" for name in expected} <= set(page.ids)
    for name in expected:
        assert (folder / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(folder / f"figures/{name}.png") as image:
            grey = np.asarray(image.convert("L"))
        assert (grey < 100).mean() > 0.002, name
        svg = (folder / "report.html").read_text().split(f'<figure id="figure-{name}">')[1].split("</figure>")[0]
        assert svg.count("<path") + svg.count("<use") > 10


def test_all_that_is_needed_to_do_it_again_is_there(reported):
    _, page = reported
    for words in (
        "python -m hybrid_seq_gnn 'model=sasrec,hybrid' -m",
        f"{'c0ffee' * 6} with changes",
        "a" * 64,
        "2.13.0",
        "fusion.alpha=0.3",
        "data.path=a & b",
        "density",
    ):
        assert words in page.text


def test_failed_and_pruned_trials_are_counted_and_the_journal_stays_as_it_is(study, reported):
    _, page = reported
    assert ["sweep", "", "10", "1", "1", "–", "–"] in page.table("sweep", "question")
    assert "trial 5 failed: the loss became nan <in epoch 2>" in page.text
    assert (study / "sweep/study.journal").read_text().endswith('{"op_code":5,"worker')


def test_two_reports_of_the_same_runs_are_equal(study, tmp_path):
    report(tmp_path / "r", study)
    first = (tmp_path / "r/report.html").read_bytes()
    report(tmp_path / "r", study)
    assert (tmp_path / "r/report.html").read_bytes() == first


def test_a_baseline_can_be_named_by_setting_and_by_folder(study, tmp_path):
    by_setting = report(tmp_path / "a", study, "--baseline", "fusion.alpha=0.7", "--criteria", "none")
    assert "Yes: fusion.alpha=0.3 is better than the baseline fusion.alpha=0.7" in by_setting.text
    by_folder = report(tmp_path / "b", study / "sweep", "--baseline", study / "base", "--criteria", "none")
    assert "is better than the baseline model=sasrec" in by_folder.text
    assert "no run has that" in error(study, "--baseline", "model=ease")
    assert "no such folder" in error(study, "--baseline", "nonsense")


def test_without_a_baseline_nothing_is_compared_and_that_is_said(study, tmp_path):
    page = report(tmp_path / "r", study / "sweep")
    assert "There is no baseline, so nothing is compared." in page.text
    assert "none of the runs has model=sasrec" in page.text
    assert not page.table("configuration", "group")
    assert {row[6] for row in page.table("configuration", "seeds", "validation NDCG@10")} == {"not compared"}


def test_no_difference_is_not_called_one(tmp_path):
    for seed in (0, 1):
        for k, model in enumerate(("sasrec", "hybrid")):
            write_run(
                tmp_path / f"o/{k}_{seed}",
                random_ranks(2 * k + seed, 60),
                lengths=np.full(60, 5),
                seed=seed,
                model=model,
            )
    page = report(tmp_path / "r", tmp_path / "o")
    assert "No difference can be shown between model=hybrid and the baseline model=sasrec." in page.text
    assert "This is not significant: it may be chance." in page.text
    assert "leaves out 0" not in page.text
    assert "The group is too small to say anything: no less than a true difference of" in page.text
    assert "Long histories: no test user has one, so nothing is known about them." in page.text
    assert "Not here: medium, long: no test user belongs to these groups." in page.text


def test_an_interval_that_did_not_survive_the_correction_is_explained():
    row = {"significant": False, "users": 99, "mean": 0.2, "baseline": 0.1, "difference": 0.1, "relative": 1.0}
    row |= {"low": 0.01, "high": 0.2, "p_holm": 0.3, "group": "short", "minimum_detectable": 0.01, "metric": "NDCG@10"}
    for text in (answer.overall(row, 50), answer.for_whom(row)):
        assert "not significant" in text and "Its interval leaves out 0, but among so many" in text
    for text in (answer.overall(row | {"low": -0.1}, 50), answer.for_whom(row | {"low": -0.1})):
        assert "leaves out 0" not in text


def test_one_seed_only_is_said(tmp_path):
    write_run(tmp_path / "o/0", random_ranks(0, 60), lengths=np.full(60, 5), model="sasrec")
    write_run(tmp_path / "o/1", random_ranks(1, 60, 0.2), lengths=np.full(60, 5))
    page = report(tmp_path / "r", tmp_path / "o")
    assert "One seed only: model=sasrec and model=hybrid." in page.text


def test_runs_of_another_split_are_left_out_and_said(study, tmp_path):
    other = tmp_path / "elsewhere/0"
    write_run(other, random_ranks(9, USERS, 0.01), lengths=np.full(USERS, 5), split="b" * 64, name="cheat")
    page = report(tmp_path / "r", study, other)
    assert "1 of 13 runs are left out" in page.text and str(other) in page.text
    assert not [row for row in page.table("configuration") if row[0] == "cheat"]


def test_a_run_without_per_user_data_is_shown_and_never_compared(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    for seed in (0, 1):
        (tmp_path / f"o/sweep/0_seed{seed}/per_user.parquet").unlink()
    path = tmp_path / "o/sweep/1_seed0/per_user.parquet"
    pd.read_parquet(path).assign(rank=1).to_parquet(path, index=False)
    page = report(tmp_path / "r", tmp_path / "o")
    board = page.table("configuration", "seeds", "validation NDCG@10")
    assert [row[6] for row in board if row[0] == "fusion.alpha=0.3"] == ["not compared"]
    assert "fusion.alpha=0.3 has no place in any comparison between users" in page.text
    assert [row[1] for row in board if "fusion.alpha=0.5" in row[0]] == ["1"]
    assert "fusion.alpha=0.5: 1 of 2 seeds are left out everywhere" in page.text


def test_a_half_written_run_among_others_is_said_and_alone_is_an_error(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    (tmp_path / "o/others/0_seed0/results.json").unlink()
    page = report(tmp_path / "r", tmp_path / "o")
    assert "others/0_seed0 has no results.json: the run has not finished." in page.text
    assert "has not finished" in error(tmp_path / "o/others/0_seed0", "--output", tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_missing_parts_are_marked_gaps(tmp_path):
    for k, model in enumerate(("sasrec", "hybrid")):
        write_run(tmp_path / f"o/{k}", random_ranks(k, 20), lengths=np.full(20, 5), model=model)
    (tmp_path / "o/0/metrics.jsonl").write_text('{"epoch": 1, "lo')
    (tmp_path / "o/study.journal").write_text("rubbish\n")
    page = report(tmp_path / "r", tmp_path / "o")
    for gap in (
        "metrics.jsonl cannot be read",
        "metrics.jsonl is not there",
        "an ablation needs a reference",
        "no run here mixes two sides",
        "fewer than two configurations differ in fusion.alpha alone",
        "study.journal holds no study",
        "no run here uses a graph",
        "the runs do not say which commands made them",
        "a curve over lengths needs the per-user data of 30 test users",
        "peak memory of the process, MiB (greatest over seeds): the runs do not say",
    ):
        assert gap in page.text, gap


def test_figures_that_an_earlier_report_left_are_removed_and_nothing_else(study, tmp_path):
    (tmp_path / "r/figures").mkdir(parents=True)
    for name in ("ablation.png", "ablation.pdf", "learning.png", "notes.txt"):
        (tmp_path / "r/figures" / name).touch()
    report(tmp_path / "r", study / "base")
    assert {path.name for path in (tmp_path / "r/figures").iterdir()} == {"learning.png", "notes.txt"}


def test_own_criteria_are_checked(study, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "minimum:\n- {metric: NDCG@10, relative_above: 0.05}\ntarget:\n- {metric: HR@20, group: long, above: 1}\n"
    )
    page = report(tmp_path / "r", study, "--criteria", path)
    status = [row[2] for row in page.table("level", "criterion")]
    assert status == ["✓ met", "✗ not met"]
    assert "There is study, none; or give a path" in error(study, "--criteria", "studi")


def test_the_report_needs_no_torch_and_says_which_extra_it_needs(study, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from hybrid_seq_gnn.report.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: the report needs matplotlib, which is not installed: pip install 'hybrid_seq_gnn[report]'"
    )


def test_the_pareto_front_is_what_no_other_point_beats_in_both():
    rng = np.random.default_rng(0)
    points = {str(k): tuple(rng.integers(0, 9, 2).astype(float)) for k in range(40)}
    beaten = {
        a
        for a, (cost, quality) in points.items()
        for other in points.values()
        if other != (cost, quality) and other[0] <= cost and other[1] >= quality
    }
    front = pareto_front(points)
    assert {points[name] for name in front} == {points[name] for name in set(points) - beaten}


def test_seven_series_have_looks_of_their_own_and_known_ones_keep_theirs():
    found = looks([str(k) for k in range(7)], "3")
    assert len({(look.colour, look.marker) for look in found.values()}) == 7
    again = looks(["5", "new"], None, found)
    assert again["5"] == found["5"] and again["new"].colour != found["5"].colour


def test_an_inline_figure_follows_the_theme_and_brings_no_style_for_the_page(tmp_path):
    from hybrid_seq_gnn.report.style import COLOURS, figure

    with style():
        fig, ax = figure()
        ax.plot([1, 2], [1, 2], color=COLOURS[0], label="x")
    svg = save(fig, tmp_path, "one")
    assert svg == save(fig, tmp_path, "one")
    assert "var(--s1)" in svg and "var(--ink)" in svg and "#0072b2" not in svg.lower()
    assert "<style" not in svg and "<metadata" not in svg and "DejaVu" not in svg
    assert all(name.startswith("one-") for name in re.findall(r'\bid="([^"]*)"', svg))
    assert (
        inline('<?xml?><svg width="9" viewBox="0 0 1 1"></svg>', "x")
        == '<svg viewBox="0 0 1 1" aria-hidden="true"></svg>'
    )


def test_a_study_json_names_the_sweep_and_its_question(study, tmp_path):
    shutil.copytree(study, tmp_path / "o")
    (tmp_path / "o/sweep/study.json").write_text(
        json.dumps(
            {
                "name": "sweep",
                "storage": None,
                "objective": ["HR@10"],
                "question": "Which alpha?",
                "sampler": "tpe",
                "space": {"gnn": "a,b"},
            }
        )
    )
    page = report(tmp_path / "r", tmp_path / "o")
    assert ["sweep", "Which alpha?", "10", "1", "1", "tpe", "–"] in page.table("sweep", "question")
    assert ["sweep", "gnn", "a,b"] in page.table("sweep", "setting", "tried")
    assert "validation HR@10 against each setting alone" in page.text
    (tmp_path / "o/sweep/study.json").write_text(json.dumps({"name": "sweep", "storage": "sqlite:///gone.db"}))
    assert "sqlite:///gone.db is not there" in report(tmp_path / "r", tmp_path / "o").text


def test_complete_is_what_the_other_tests_stand_on(tmp_path):
    run = write_run(tmp_path / "0", random_ranks(0, 8))
    complete(run, 0.5)
    assert json.loads((run / "results.json").read_text())["alpha_curve"]["alpha"][0] == 0.5
