"""Small inputs and commands that once went wrong, in ../shared/cases, now go as they should."""

import shlex
import shutil

import pytest

from tests.commands import command
from tests.conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"
REFUSED = {
    "02_other_sweeper": ["hydra/sweeper=optuna", "study.n_trials"],
    "01_extra_field": ["decimal_comma.csv, line 3", "'17,12,4,37,1600016540'"],
    "04_recbole_time_column": ["a.inter has no column 'tme' (data.timestamp)", "time:float"],
    "05_stray_quotes": ["stray_quotes.csv, line 52"],
    "18_headerless": ["looks like an event", "data.columns="],
    "19_user_item_pairs": ["data=pairs"],
    "21_equals_in_path": ["data.path='year=2024.csv'"],
    "20_equal_times": ["all events have the same time; use leave_one_out"],
}
READ = {
    "03_event_number": ["60 users, 40 items, 720 events", "split d2af0fd6c7c0"],
    "08_utc_parquet": ["split 3d244184a423"],
    "09_long_id": ["3,000 items"],
    "10_duplicates": ["720 of 1,440 events repeat", "100 % of the held-out items"],
    "15_mac_line_ends": ["60 users, 40 items, 720 events"],
    "11_range_of_one": ["2 to run", "leaderboard.md"],
    "12_backslash_folder": ["2 to run, in out\\x", "leaderboard.md"],
    "13_glob": ["1 to run", "leaderboard.md"],
    "16_chdir": ["2 to run", "leaderboard.md"],
    "17_iso_dates": ["60 users, 40 items, 720 events"],
}
ADDED = {"11_range_of_one": ["+experiment=study/embeddings"]}  # gnn.num_layers is of the gnn that was the default


@pytest.mark.parametrize("name", [*REFUSED, *READ])
def test_a_case_goes_as_it_should(name, tmp_path):
    if not (CASES / name).is_dir():
        pytest.skip("needs ../shared/cases, which is not here")
    shutil.copytree(CASES / name, tmp_path / name)
    line = shlex.split((CASES / name / "cmd").read_text())[3:] + ADDED.get(name, [])
    done = command(*line, cwd=tmp_path / name)
    assert (done.returncode == 0) == (name in READ), done.stdout + done.stderr
    for words in (REFUSED | READ)[name]:
        assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
