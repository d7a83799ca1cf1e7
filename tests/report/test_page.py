import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from hybrid_seq_gnn.report.sections.cost import pareto_front
from hybrid_seq_gnn.report.style import BASELINE, COLOURS, figure, inline, looks, save, style
from tests.report.pages import report
from tests.report.study_folder import complete
from tests.results.folders import random_ranks, write_run


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(reported):
    folder, page = reported
    assert len(page.ids) == len(set(page.ids)) > 50
    text = (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//|url\(\s*["']?https?:|@import""", text)
    for link in page.links:
        assert link.startswith("data:") or (link[1:] in page.ids if link[0] == "#" else (folder / link).is_file()), link


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


def test_two_reports_of_the_same_runs_are_equal(study, tmp_path):
    report(tmp_path / "r", study)
    first = (tmp_path / "r/report.html").read_bytes()
    report(tmp_path / "r", study)
    assert (tmp_path / "r/report.html").read_bytes() == first


def test_figures_that_an_earlier_report_left_are_removed_and_nothing_else(study, tmp_path):
    (tmp_path / "r/figures").mkdir(parents=True)
    for name in ("ablation.png", "ablation.pdf", "learning.png", "mine.png", "notes.txt"):
        (tmp_path / "r/figures" / name).touch()
    (tmp_path / "r/report.html").write_text('<a href="figures/ablation.png"><a href="figures/learning.png">')
    report(tmp_path / "r", study / "base")
    assert {path.name for path in (tmp_path / "r/figures").iterdir()} == {"learning.png", "mine.png", "notes.txt"}


def test_the_report_needs_no_torch_and_says_which_extra_it_needs(study, tmp_path):
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
    found = looks([str(k) for k in range(7)], {"3": BASELINE})
    assert found["3"] == BASELINE and len({(look.colour, look.marker) for look in found.values()}) == 7
    again = looks(["5", "new"], found)
    assert again["5"] == found["5"] and again["new"].colour != found["5"].colour
    apart = looks(["5", "6"], found | {"6": found["5"]})
    assert apart["5"] == found["5"] and apart["6"].colour != found["5"].colour


def test_an_inline_figure_follows_the_theme_and_brings_no_style_for_the_page(tmp_path):
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


def test_complete_is_what_the_other_tests_stand_on(tmp_path):
    run = write_run(tmp_path / "0", random_ranks(0, 8))
    complete(run, 0.5)
    assert json.loads((run / "results.json").read_text())["alpha_curve"]["alpha"][0] == 0.5


@pytest.mark.parametrize("name", ["模型", "モデル", "모델", "\U0001f600"])
def test_names_in_any_script_are_drawn_without_a_word(name, tmp_path):
    with style():
        fig, ax = figure()
        ax.plot([1, 2], label=name)
        ax.legend()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        svg = save(fig, tmp_path, "x")
    assert not said and name in svg and "Sans" not in svg


def test_a_font_for_such_names_is_used_where_there_is_one(monkeypatch):
    from matplotlib import rcParams

    monkeypatch.setattr("hybrid_seq_gnn.report.style.CJK", ("No Such Font", "DejaVu Serif"))
    with style():
        assert rcParams["font.family"] == ["DejaVu Sans", "DejaVu Serif"]
