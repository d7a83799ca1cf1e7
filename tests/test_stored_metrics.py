"""Numbers of existing configurations do not move by accident.

stored_metrics.json holds two epochs on 300 users of MovieTweetings for each line of overrides, as they were when the
masks of dropout last changed (see CHANGELOG).
Who moves a number on purpose writes the new one here, and says so in CHANGELOG.
"""

import json
from pathlib import Path

import pytest

from tests.commands import results, succeed

STORED = json.loads((Path(__file__).parent / "stored_metrics.json").read_text())
A_FEW_RANKS = 0.007  # other processors round otherwise, and a user or two change places


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder whose runs share their encoders."""
    return tmp_path_factory.mktemp("stored")


@pytest.mark.parametrize("overrides", STORED)
def test_a_small_run_gives_the_stored_metrics(overrides, folder):
    run = f"outputs/{list(STORED).index(overrides)}"
    succeed("data.max_users=300", "training.epochs=2", f"hydra.run.dir={run}", *overrides.split(), cwd=folder)
    found = results(folder / run)
    metrics = {
        f"{split} {metric}": found[f"{split}_metrics"][metric]
        for split in ("test", "validation")
        for metric in ("NDCG@10", "HR@10")
    }
    assert metrics == pytest.approx(STORED[overrides], abs=A_FEW_RANKS)
