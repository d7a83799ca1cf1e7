"""An ensemble against the mean of its members' scores, and its members among the encoders that runs share."""

import pandas as pd
import pytest
import torch

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.model.ensemble import Ensemble
from hybrid_seq_gnn.model.sasrec import SASRec
from tests.commands import SMALL, fail, results, succeed
from tests.model.test_hybrid import hybrid, with_prior
from tests.model.test_sasrec import batch_of
from tests.run.test_encoders import stored, times_trained

BATCH = batch_of([3, 1, 4, 1], [5, 9, 2])


@pytest.mark.parametrize("prior", ["popularity", "none"])
@pytest.mark.parametrize("cosine", [None, 0.1])
def test_the_scores_are_the_mean_of_those_of_the_members(cosine, prior):
    members = [SASRec(20, embedding_dim=8, cosine=cosine, prior=prior).eval() for _ in range(3)]
    with_prior(ensemble := Ensemble(members))
    found = ensemble.next_item_scores(BATCH).all()
    expected = torch.stack([member.next_item_scores(BATCH).all() for member in members]).mean(0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_only_encoders_that_were_trained_alone_are_averaged():
    with pytest.raises(UserError, match=r"model.members=2 .*gnn=evidence"):
        hybrid(Fixed(), members=2)
    with pytest.raises(UserError, match="training=post_hoc"):
        Ensemble([SASRec(20), SASRec(20)]).training_scores(BATCH, torch.ones(7, dtype=torch.long))


def test_members_are_the_encoders_of_the_next_seeds_which_other_runs_share(tmp_path):
    succeed(*SMALL, "fusion.alpha=1", "model.members=2", "seed=3", "hydra.run.dir=outputs/two", cwd=tmp_path)
    encoders = stored(tmp_path)
    assert sorted(results(encoder)["seed"] for encoder in encoders) == [3, 4]
    for seed in (3, 4):
        succeed(*SMALL, "fusion.alpha=1", f"seed={seed}", f"hydra.run.dir=outputs/{seed}", cwd=tmp_path)
        alone = results(tmp_path / f"outputs/{seed}")["baseline"]["folder"]
        assert [line for line in results(tmp_path / alone)["overrides"] if "seed" in line] == [f"seed={seed}"]
    assert stored(tmp_path) == encoders
    assert times_trained(encoders[0]) == times_trained(encoders[1]) == 1
    two = results(tmp_path / "outputs/two")
    assert results(tmp_path / two["baseline"]["folder"])["seed"] == 3
    used = [two["stages"]["encoder"]["path"], *two["stages"]["encoder"]["others"]]
    assert sorted(used) == [str(encoder.relative_to(tmp_path) / "model.pt") for encoder in encoders]
    ranks = [pd.read_parquet(tmp_path / f"outputs/{name}/per_user.parquet")["rank"] for name in ("two", 3, 4)]
    assert (ranks[0] != ranks[1]).any() and (ranks[0] != ranks[2]).any()


def test_an_ensemble_that_cannot_be_is_refused_with_what_it_takes(tmp_path):
    assert "training=post_hoc" in fail(*SMALL, "model.members=2", "training=joint", cwd=tmp_path)
    assert "model.members=2" in fail(*SMALL, "model.members=2", "+experiment=study/embeddings", cwd=tmp_path)
    assert "model.members=0" in fail(*SMALL, "model.members=0", cwd=tmp_path)
    given = ["model.members=2", "training.encoder_checkpoint=model.pt"]
    assert "training.encoder_checkpoint is one encoder" in fail(*SMALL, *given, cwd=tmp_path)
