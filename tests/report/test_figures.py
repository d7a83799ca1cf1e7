"""What the figures of the report show and say, beside the numbers."""

import json
from collections import defaultdict

import numpy as np
import pytest

from hybrid_seq_gnn.report.command import SECTIONS
from hybrid_seq_gnn.report.facts import gather
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.sections import ablation, by_group, search
from hybrid_seq_gnn.report.studies import read
from hybrid_seq_gnn.report.style import Interval, Look, distinct, figure, log_events, plain_logs, style
from tests.report.pages import report
from tests.report.study_folder import complete, study
from tests.results.folders import random_ranks, write_run


@pytest.fixture
def fusions(tmp_path):
    """A baseline and seven fusions; the best one on validation has no per-user data."""
    lengths = np.tile([4, 8, 20, 33, 60], 12)
    base = write_run(tmp_path / "o/base", random_ranks(0, 60), lengths=lengths, model="sasrec")
    complete(base, validation=0.05)
    for k in range(7):
        run = write_run(tmp_path / f"o/{k}", random_ranks(k + 1, 60, 0.5), lengths=lengths)
        path = run / "results.json"
        results = json.loads(path.read_text())
        results["options"]["fusion"] = results["config"]["fusion"]["_target_"] = f"f{k}"
        results["seconds"]["total"] = 9 + k
        path.write_text(json.dumps(results))
        complete(run, k / 7, validation=0.3 - k / 100)
    (tmp_path / "o/0/per_user.parquet").unlink()
    return tmp_path / "o"


def test_a_configuration_has_the_same_look_in_all_figures(fusions, tmp_path, monkeypatch):
    colours = defaultdict(set)

    def drawn(self, name, caption, draw, *numbers):
        if name in ("alpha-grid", "ablation"):  # in which colours say something else
            return
        with style():
            for ax in draw(*numbers).axes:
                for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
                    line = handle if hasattr(handle, "get_color") else handle.lines[0]
                    colours[label].add(line.get_color())

    monkeypatch.setattr(Section, "figure", drawn)
    facts = gather([str(fusions)], None, resamples=100)
    for key, (title, write) in SECTIONS.items():
        if key != "cases":
            write(Section(key, title, tmp_path), facts)
    del colours["Pareto front"]
    assert len(colours) == 8 and {len(looks) for looks in colours.values()} == {1}


def test_captions_say_what_is_not_drawn(fusions, tmp_path):
    text = report(tmp_path / "r", fusions).text
    assert "Below: how many test users have such a history. Shown: the best 6 of 7 on validation." in text
    assert "On the Pareto front of those shown, where no other is as good in both and better in one: " in text


def test_hybrids_whose_encoders_trained_alone_have_no_empty_curves(tmp_path):
    for k in range(3):
        complete(write_run(tmp_path / f"o/{k}", random_ranks(k), fusion__alpha=k / 3, training__lr=k / 9))
        (tmp_path / f"o/{k}/metrics.jsonl").write_text('{"epoch": 0, "validation": {"NDCG@10": 0.3}}\n')
    page = report(tmp_path / "r", tmp_path / "o")
    assert (
        "no run here has a training loss; epochs of post hoc hybrids are in the folders of their encoders." in page.text
    )
    assert "the mark is the epoch that was kept" not in page.text


def test_an_ablation_without_a_baseline_does_not_begin_with_it(tmp_path):
    for k, settings in enumerate(({}, {"training__lr": 0.1}, {"model__dropout": 0.9})):
        write_run(tmp_path / f"o/{k}", random_ranks(k), **settings)
    text = report(tmp_path / "r", tmp_path / "o").text
    assert "What each single change does to the reference" in text and "From the baseline" not in text


def test_nothing_on_the_edge_of_an_ablation_or_a_contour_is_cut(tmp_path):
    with style():
        (ax,) = ablation.draw(None, ("reference", 0.5), {"up": Interval(0.1, 0.1, 0.1)}, "NDCG@10").axes
        study(tmp_path)
        contour = search.draw_contour(read(tmp_path), "fusion.alpha", "training.lr").axes[0]
    assert ax.get_xlim()[0] < 0.5
    assert len(contour.lines) == 2 and not any(line.get_clip_on() for line in contour.lines)


def test_failed_trials_have_no_value_and_lie_below_all_that_have(tmp_path):
    study(tmp_path)
    with style():
        fig = search.draw_history(read(tmp_path))
    fig.draw_without_rendering()
    lowest = {}
    for line in fig.axes[0].lines:
        lowest[line.get_label()] = line.get_transform().transform(np.column_stack(line.get_data()))[:, 1].min()
    assert lowest.pop("failed (1)") < min(lowest.values())


@pytest.mark.parametrize(("low", "high"), [(12, 14), (2, 3), (21, 49), (1, 900)])
def test_an_axis_of_events_has_whole_numbers(low, high):
    with style():
        _, ax = figure()
        ax.plot([low, high], [0, 1])
        log_events(ax)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert 2 <= len(labels) <= 10 and all(low * 0.8 <= int(label.replace(",", "")) <= high * 1.5 for label in labels)


@pytest.mark.parametrize("high", [1.3, 1.9, 4, 9, 40, 99, 1e3, 1e5, 1e7])
def test_a_log_axis_has_two_to_four_numbers(high):
    with style():
        _, ax = figure()
        ax.plot([0.0012, 0.0012 * high], [0, 1])
        ax.set_xscale("log")
        plain_logs(ax.xaxis)
    assert 2 <= len([tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]) <= 4
    assert len(ax.get_xticks()) <= 4


def test_long_names_that_differ_anywhere_are_told_apart():
    long = "a configuration with all of its settings and more " * 3
    for names in (
        ["one", "two"],
        [long + "1", long + "2"],
        ["x " + long, "y " + long],
        [long + w + long for w in "12"],
    ):
        assert len(set(distinct(names, 30))) == 2
    assert distinct([long + "1", long + "2"], 30)[0].count("\n") == 1


def test_a_group_without_users_has_its_place_at_the_end():
    series = {"one": {"short": Interval(0.1, 0.05, 0.15)}}
    with style():
        (ax,) = by_group.draw(["short", "long"], series, "NDCG@10", {"one": Look("#0072b2", "s", "solid")}).axes
    assert ax.get_xlim() == (-0.5, 1.5)


def test_headers_of_tables_shrink_with_their_cells_in_print(reported):
    text = (reported[0] / "report.html").read_text()
    assert "th { font-size: 8pt; }" in text.partition("@media print")[2].partition("</style>")[0]
