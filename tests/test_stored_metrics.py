"""Numbers of existing configurations do not move by accident.

stored_metrics.json was made at commit 13b1e30 by two epochs on 600 users of MovieTweetings for each line of overrides.
Who moves a number on purpose writes the new one here, and says so in CHANGELOG.
"""

import json
from pathlib import Path

import pytest

from tests.test_command_line import results, succeed

STORED = json.loads((Path(__file__).parent / "stored_metrics.json").read_text())
A_FEW_RANKS = 0.004  # other processors round otherwise, and a user or two change places


@pytest.mark.parametrize("overrides", STORED)
def test_a_small_run_gives_the_stored_metrics(overrides, tmp_path):
    small = ["data.max_users=600", "training.epochs=2", "hydra.run.dir=run"]
    succeed(*small, *overrides.split(), cwd=tmp_path)
    found = results(tmp_path / "run")
    metrics = {
        f"{split} {metric}": found[f"{split}_metrics"][metric]
        for split in ("test", "validation")
        for metric in ("NDCG@10", "HR@10")
    }
    assert metrics == pytest.approx(STORED[overrides], abs=A_FEW_RANKS)
