"""`compare` and `leaderboard` as they are typed, on good and on broken run folders."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from hybrid_seq_gnn.compare.__main__ import main as compare
from hybrid_seq_gnn.leaderboard.__main__ import main as leaderboard
from tests.commands import refused
from tests.results.folders import random_ranks, write_run

USERS = 120
LENGTHS = np.tile([5, 20, 60], USERS // 3)


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A baseline with two seeds and a sweep over alpha, below outputs/; the current folder is above it."""
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        write_run(
            tmp_path / f"outputs/base/{seed}", random_ranks(seed, USERS), lengths=LENGTHS, seed=seed, model="sasrec"
        )
    for k, alpha in enumerate((0.3, 0.5)):
        for seed in (0, 1):
            ranks = random_ranks(10 + 2 * k + seed, USERS, 0.4 + k / 2)
            folder = tmp_path / f"outputs/sweep/{k}_seed{seed}"
            write_run(folder, ranks, lengths=LENGTHS, seed=seed, fusion__alpha=alpha)
    (tmp_path / "outputs/sweep/leaderboard.csv").write_text("")
    return tmp_path / "outputs"


def printed(main, capsys, *arguments):
    main([*map(str, arguments)])
    return capsys.readouterr().out


def test_compare_prints_a_table_and_writes_csv_markdown_and_latex(outputs, capsys):
    text = printed(compare, capsys, "outputs/base", "outputs/sweep", "--resamples", 200)
    assert "Baseline: model=sasrec, 2 seeds (outputs/base/0, outputs/base/1)" in text
    assert "fusion.alpha=0.3: significantly better" in text
    assert "written to outputs/compare/compare.csv" in text
    frame = pd.read_csv("outputs/compare/compare.csv")
    assert frame["name"].drop_duplicates().tolist() == ["fusion.alpha=0.3", "fusion.alpha=0.5"]
    assert len(frame) == 2 * 3 * 4
    assert (frame["baseline_name"] == "model=sasrec").all()
    markdown = (outputs / "compare/compare.md").read_text()
    assert "wins/ties/losses" in markdown and "p (flips)" in markdown
    tex = (outputs / "compare/compare.tex").read_text()
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 3
    body = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len({line.count(" & ") for line in body}) == 1
    assert all("%" not in line.replace(r"\%", "") and "_" not in line.replace(r"\_", "") for line in body)


def test_compare_does_the_same_in_a_process_of_its_own_without_pytorch(outputs):
    command = [
        sys.executable,
        "-m",
        "hybrid_seq_gnn.compare",
        "outputs/base",
        "outputs/sweep/0_*",
        "--resamples",
        "200",
    ]
    environment = {
        **os.environ,
        "PYTHONPROFILEIMPORTTIME": "1",
        "PYTHONWARNINGS": "error::DeprecationWarning:hybrid_seq_gnn",
    }
    done = subprocess.run([*command, "--output", "here"], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "model=hybrid: also differs from the baseline in fusion=fixed" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pandas" in imported
    assert not imported & {"torch", "hydra", "omegaconf"}
    assert {p.name for p in (outputs.parent / "here").iterdir()} == {"compare.csv", "compare.md", "compare.tex"}
    for module in ("compare", "leaderboard"):
        command = [sys.executable, "-X", "importtime", "-m", f"hybrid_seq_gnn.{module}", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "usage:" in done.stdout
        assert not {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()} & {"torch", "pandas", "scipy"}


def test_the_same_seed_gives_the_same_files(outputs, capsys):
    for name in ("a", "b", "c"):
        extra = ["--seed", "1"] if name == "c" else []
        printed(compare, capsys, "outputs/base", "outputs/sweep", "--resamples", 200, "--output", name, *extra)
    read = [(outputs.parent / name / "compare.csv").read_bytes() for name in "abc"]
    assert read[0] == read[1] != read[2]


def test_the_baseline_can_be_chosen_from_everything(outputs, capsys):
    text = printed(
        compare, capsys, "outputs", "--baseline", "fusion.alpha=0.50", "--resamples", 200, "--metrics", "HR@10"
    )
    assert "Baseline: fusion.alpha=0.5" in text
    assert "model=sasrec" in text and "fusion.alpha=0.3" in text


def test_two_runs_of_one_configuration_show_the_noise_of_training(outputs, capsys):
    text = printed(compare, capsys, "outputs/base/0", "outputs/base/1", "--resamples", 200)
    assert (
        "model=sasrec (outputs/base/1): the settings of the baseline, so what differs is the noise of training" in text
    )


def test_alpha_and_groups_and_two_levels_have_their_effect(outputs, capsys):
    arguments = ["outputs/base", "outputs/sweep", "--resamples", 400, "--metrics", "NDCG@10", "--groups", "overall"]
    usual = printed(compare, capsys, *arguments)
    assert "95 % interval" in usual and "| short" not in usual
    assert "99 % interval" in printed(compare, capsys, *arguments, "--alpha", "0.01")
    assert "both drawn again" in printed(compare, capsys, *arguments, "--two-level")


def test_a_baseline_of_many_configurations_is_refused_with_their_names(outputs):
    message = refused(compare, "outputs/sweep", "outputs/base")
    for word in ("one configuration", "fusion.alpha=0.3", "fusion.alpha=0.5", "outputs/sweep/0_seed0", "--baseline"):
        assert word in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["outputs/base"], ["nothing to compare with", "model=sasrec"]),
        (["outputs/base", "outputs/nowhere"], ["outputs/nowhere", "no such folder"]),
        (["outputs/base", "outputs/x*"], ["outputs/x*", "no such folder"]),
        (["outputs/base", "outputs/sweep", "--metrics", "NDGC@10"], ["--metrics", "NDGC@10", "Did you mean NDCG@10?"]),
        (["outputs/base", "outputs/sweep", "--metrics", ""], ["--metrics is empty", "NDCG@10"]),
        (["outputs/base", "outputs/sweep", "--groups", ","], ["--groups is empty", "overall, short"]),
        (["outputs/base", "outputs/sweep", "--groups", "tall"], ["--groups", "tall", "short"]),
        (["outputs/base", "outputs/sweep", "--alpha", "5"], ["--alpha", "5", "between 0 and 1"]),
        (["outputs/base", "outputs/sweep", "--resamples", "3"], ["--resamples", "100 to ten million"]),
        (["outputs/base", "outputs/sweep", "--resamples", "1e12"], ["1e12", "100 to ten million"]),
        (["outputs/base", "outputs/sweep", "--resamples", "9" * 5000], ["100 to ten million"]),
        (["outputs/base", "outputs/sweep", "--seed", "x"], ["--seed", "whole number"]),
        (["outputs", "--baseline", "model"], ["--baseline model", "KEY=VALUE"]),
        (["outputs", "--baseline", "modle=sasrec"], ["modle", "Did you mean model?"]),
        (["outputs", "--baseline", "model=ease"], ["model=ease", "There is model=sasrec,hybrid"]),
        (["outputs", "--baseline", "model=hybrid"], ["one configuration", "fusion.alpha=0.3"]),
        ([], ["RUN"]),
        (["outputs/base", "outputs/sweep", "--output", "outputs/base/0/results.json"], ["results.json"]),
        (["outputs/base", "outputs/sweep", "--speed", "1"], ["--speed"]),
    ],
    ids=" ".join,
)
def test_bad_arguments_get_one_clear_message(arguments, words, outputs):
    message = refused(compare, *arguments)
    for word in words:
        assert word in message


def test_broken_runs_get_one_clear_message(outputs):
    sweep = outputs / "sweep"
    (sweep / "0_seed0/per_user.parquet").write_bytes(b"no")
    assert "0_seed0/per_user.parquet cannot be read" in refused(compare, "outputs/base", "outputs/sweep")
    (sweep / "0_seed0/per_user.parquet").unlink()
    assert "0_seed0 has no per_user.parquet" in refused(compare, "outputs/base", "outputs/sweep")
    (sweep / "0_seed0/results.json").write_text("{")
    assert "0_seed0/results.json cannot be read as JSON" in refused(compare, "outputs/base", "outputs/sweep/0_seed0")
    (sweep / "0_seed0/results.json").unlink()
    assert "has not finished" in refused(compare, "outputs/base", "outputs/sweep/0_seed0")
    write_run(sweep / "other", random_ranks(1, USERS), lengths=LENGTHS, split="b" * 64)
    message = refused(compare, "outputs/base", "outputs/sweep")
    for word in ("outputs/base/0", "outputs/sweep/other", "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cannot be compared"):
        assert word in message


def test_what_others_named_cannot_speak_to_the_terminal(outputs, capsys):
    for place, name in (("a", "\x1b[31mred"), ("b", "\x1b]0;title\x07"), ("c", "tab\there")):
        write_run(outputs / place, random_ranks(1, USERS), lengths=LENGTHS, name=name)
    (outputs / "d\x1b[2J").mkdir()
    (outputs / "d\x1b[2J" / "results.json").write_text('{"schema_version": "\\u001b[31m"}')
    text = printed(compare, capsys, "outputs/base", "outputs/[a-d]*", "--resamples", 200)
    text += printed(leaderboard, capsys, "outputs") + printed(leaderboard, capsys, "outputs", "--csv")
    text += refused(compare, "outputs/a", "outputs/a")
    assert "\\x1b[31mred" in text and "d\\x1b[2J" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_an_unfinished_run_among_others_is_left_out_and_said(outputs, capsys):
    (outputs / "sweep/0_seed0/results.json").unlink()
    text = printed(compare, capsys, "outputs/base", "outputs/sweep", "--resamples", 200)
    assert "Left out or replaced:" in text and "outputs/sweep/0_seed0 has no results.json" in text
    assert "fusion.alpha=0.3: one seed only" in text
    leaderboard(["outputs", "--csv"])
    table, said = capsys.readouterr()
    assert "outputs/sweep/0_seed0 has no results.json" in said and "Left out" not in table


def test_the_leaderboard_puts_seeds_together_and_never_mixes_splits(outputs, capsys):
    write_run(outputs / "deep/er/run", random_ranks(1, 30), lengths=LENGTHS[:30], split="b" * 64, data__min_rating=3.0)
    text = printed(leaderboard, capsys)
    first, second = text.split("data=ml-1m")[1:]
    assert "data.min_rating=4" in first and "split aaaaaaaaaaaa" in first
    assert "data.min_rating=3" in second and "split bbbbbbbbbbbb" in second
    assert first.count("outputs/") == 3 and second.count("outputs/") == 1
    assert "deep/er/run" in second
    assert " ± " in first and " ± " not in second.split("\n\n")[1]


def test_the_leaderboard_means_are_those_of_the_runs(outputs, capsys):
    import io
    import json

    frame = pd.read_csv(io.StringIO(printed(leaderboard, capsys, "outputs", "--csv", "--filter", "model=sasrec")))
    values = [
        json.loads((outputs / f"base/{seed}/results.json").read_text())["grouped_metrics"]["short"]["HR@10"]
        for seed in (0, 1)
    ]
    assert frame["HR@10/short"].tolist() == [np.mean(values)]
    assert frame["HR@10/short sd"].tolist() == [pytest.approx(np.std(values, ddof=1))]
    assert frame["seeds"].tolist() == [2]


def test_the_leaderboard_filters_and_sorts(outputs, capsys):
    text = printed(leaderboard, capsys, "outputs", "--sort", "HR@10/short")
    ranked = [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert set(ranked) == {"model=sasrec", "fusion.alpha=0.3", "fusion.alpha=0.5"}
    values = [float(line.split("|")[7].split("±")[0]) for line in text.splitlines() if line.startswith("|    ")]
    assert values == sorted(values, reverse=True)
    assert "choose on the test" in text
    text = printed(leaderboard, capsys, "outputs", "--filter", "fusion.alpha=0.3,0.5", "--filter", "fusion=fixed")
    assert "sasrec" not in text and "fusion.alpha=0.5" in text


@pytest.mark.parametrize("name", ["plain, decayed", "second table, no graph", "ensemble of 2, memory", "x,y"])
def test_a_filter_takes_a_name_with_a_comma_as_it_stands(name, outputs, capsys):
    for k, given in enumerate((name, *name.split(","))):
        write_run(
            outputs / f"named/{k}", random_ranks(k, USERS), lengths=LENGTHS, name=given.strip(), data__path=f"{k}"
        )
    text = printed(leaderboard, capsys, "outputs", "--filter", f"name={name}")
    assert "outputs/named/0" in text and "outputs/named/1" not in text and "outputs/named/2" not in text
    text = printed(compare, capsys, "outputs/base", "outputs/named", "--baseline", f"name={name}", "--resamples", 200)
    assert f"Baseline: {name}, 1 seed (outputs/named/0)" in text
    text = printed(
        leaderboard, capsys, "outputs", "--filter", f"name={','.join(name.split(',')[::-1])}"
    )  # none has that
    assert "outputs/named/0" not in text and "outputs/named/1" in text and "outputs/named/2" in text


def test_a_filter_by_null_takes_no_run_that_lacks_the_setting(outputs, capsys):
    message = refused(leaderboard, "outputs", "--filter", "fusion.alpha=null")
    assert "There is fusion.alpha=0.3,0.5." in message
    write_run(outputs / "fitted", random_ranks(5, USERS), lengths=LENGTHS, fusion__alpha=None)
    text = printed(leaderboard, capsys, "outputs", "--filter", "fusion.alpha=null")
    assert "outputs/fitted" in text and "outputs/base" not in text and "outputs/sweep" not in text
    text = printed(leaderboard, capsys, "outputs", "--filter", "data.path=null", "--filter", "fusion.alpha=null,0.3")
    assert "outputs/fitted" in text and "outputs/sweep/0" in text and "outputs/base" not in text
    message = refused(leaderboard, "outputs", "--filter", "model=sasrec", "--filter", "fusion.alpha=0.3")
    assert "Of the runs that other filters leave, none has fusion.alpha." in message


def test_a_filter_by_no_name_takes_the_runs_without_one(outputs, capsys):
    write_run(outputs / "named", random_ranks(5, USERS), lengths=LENGTHS, name="mine")
    text = printed(leaderboard, capsys, "outputs", "--filter", "name=null")
    assert "outputs/named" not in text and "outputs/base" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere", "no such folder"]),
        (["outputs", "--filter", "dat=ml-1m"], ["dat", "Did you mean data?"]),
        (["outputs", "--filter", "data=ml-20m"], ["data=ml-20m", "There is data=ml-1m"]),
        (["outputs", "--filter", "data"], ["KEY=VALUE"]),
        (["outputs", "--sort", "NDGC@10"], ["--sort", "Did you mean NDCG@10?"]),
        (["outputs", "--sort", "NDCG@10/tall"], ["--sort NDCG@10/tall", "short, medium, long"]),
    ],
    ids=" ".join,
)
def test_the_leaderboard_says_what_is_wrong(arguments, words, outputs):
    message = refused(leaderboard, *arguments)
    for word in words:
        assert word in message


def test_a_leaderboard_of_nothing_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "outputs: there is no such folder" in refused(leaderboard)
    (tmp_path / "outputs").mkdir()
    assert "holds no run" in refused(leaderboard)
