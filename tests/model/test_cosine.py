"""Cosine scores: what is trained is what is ranked, for every model that has them."""

import pytest
import torch
import torch.nn.functional as F

from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.fusion.learnable import Learnable
from hybrid_seq_gnn.model.caser import Caser
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.sasrec import SASRec
from tests.model.test_hybrid import hybrid, with_prior
from tests.model.test_sasrec import batch_of

T = 0.2


@pytest.mark.parametrize("model", [SASRec, GRU4Rec, Caser])
def test_scores_are_cosines_over_the_temperature_in_training_as_in_ranking(model):
    torch.manual_seed(0)
    plain = model(20, embedding_dim=8, max_length=10).double().eval()
    torch.manual_seed(0)
    ours = with_prior(model(20, embedding_dim=8, max_length=10, cosine=T)).double().eval()
    batch = batch_of([3, 1, 4], [5, 9])
    dots = plain.next_item_scores(batch)
    slow = F.cosine_similarity(dots.query[:, None], dots.table[None, 1:], dim=2) / T + ours.prior[1:]
    found = ours.next_item_scores(batch)
    assert torch.allclose(found.all()[:, 1:], slow)
    every, *_ = ours.training_scores(batch, torch.ones(5, dtype=torch.long))
    assert torch.allclose(every.all()[[2, 4]], found.all())
    assert torch.allclose(
        every.cross_entropy(torch.full((5,), 7)), F.cross_entropy(every.all()[:, 1:], torch.full((5,), 6))
    )


@pytest.mark.parametrize("fusion", [Fixed(alpha=0.3, level="embedding"), Learnable(init_short=0.3, level="embedding")])
def test_a_hybrid_mixes_the_cosines_of_both_tables(fusion):
    model = hybrid(fusion, cosine=T).double().eval()
    batch = batch_of([3, 1, 4], [5, 9])
    reading = model.encoder.to_rank(batch)
    states = model.read(reading, model.graph_table())
    seq, graph = (
        F.cosine_similarity(states[:, None], table[None], dim=2)
        for table in (model.encoder.items.weight, model.graph_table())
    )
    slow = (0.3 * seq + 0.7 * graph) / T + model.encoder.prior
    assert torch.allclose(model.next_item_scores(batch).all(), slow, atol=1e-6)


def test_at_the_level_of_scores_both_distributions_are_of_cosines():
    model = hybrid(Fixed(level="score"), cosine=T).double().eval()
    scores = model.next_item_scores(batch_of([3, 1, 4]))
    for side in (scores.seq, scores.graph):
        assert torch.allclose(side.query.norm(dim=1), torch.tensor(1 / T, dtype=torch.float64))
        assert torch.allclose(side.table[1:].norm(dim=1), torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize("cosine", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused_by_name(cosine):
    with pytest.raises(ValueError, match=r"model\.cosine="):
        SASRec(20, cosine=cosine)
