import pytest
import torch
from torch import nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.sasrec import SASRec


def batch_of(*histories, width=None):
    width = width or max(map(len, histories))
    items = torch.tensor([list(h) + [0] * (width - len(h)) for h in histories])
    length = torch.where(items > 0, torch.arange(1, width + 1), 0)
    return Batch(torch.arange(len(histories)), items, length)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SASRec(20, embedding_dim=8, num_blocks=2, num_heads=2, max_length=10, dropout=0.5).double().eval()


def scores(model, *histories, width=None):
    return model.next_item_scores(batch_of(*histories, width=width)).all()


def test_scores_do_not_change_with_more_padding(model):
    assert torch.allclose(scores(model, [3, 1, 4], width=3), scores(model, [3, 1, 4], width=9))


def test_scores_do_not_depend_on_who_else_is_in_the_batch(model):
    alone = scores(model, [3, 1, 4])
    together = scores(model, [9, 2, 6, 5, 3, 5], [3, 1, 4], [7])
    assert torch.allclose(alone[0], together[1])


def test_a_short_history_is_scored_from_its_last_event_not_from_padding(model):
    assert not torch.allclose(scores(model, [3, 1, 4], width=9), scores(model, [3, 1, 5], width=9))


def test_a_position_does_not_see_the_future(model):
    seen = torch.zeros(5, dtype=torch.long)
    first, *_ = model.training_scores(batch_of([3, 1, 4, 1, 5]), seen)
    other, *_ = model.training_scores(batch_of([3, 1, 9, 2, 6]), seen)
    assert torch.allclose(first.query[:2], other.query[:2])
    assert not torch.allclose(first.query[2:], other.query[2:])


def test_the_order_of_events_matters(model):
    assert not torch.allclose(scores(model, [3, 1, 4]), scores(model, [1, 3, 4]))


def test_positions_count_back_from_the_latest_event(model):
    with torch.no_grad():
        model.positions.weight[3:] = 1e3  # only the three latest events are read here
    assert scores(model, [3, 1, 4]).abs().max() < 1e3


def test_training_scores_end_with_the_next_item_scores(model):
    batch = batch_of([3, 1, 4], [5, 9])
    every, *_ = model.training_scores(batch, torch.zeros(5, dtype=torch.long))
    assert torch.allclose(every.all()[[2, 4]], model.next_item_scores(batch).all())


def test_it_equals_pytorchs_transformer_with_the_same_weights(model):
    batch = batch_of([3, 1, 4, 1, 5, 9])
    x = model.items(batch.items) + model.positions(torch.arange(5, -1, -1))
    mask = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    for block in model.blocks:
        layer = nn.TransformerEncoderLayer(8, 2, 8, 0.0, "gelu", batch_first=True, norm_first=True).double().eval()
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": block.qkv.weight,
                "self_attn.in_proj_bias": block.qkv.bias,
                "self_attn.out_proj.weight": block.project.weight,
                "self_attn.out_proj.bias": block.project.bias,
                "linear1.weight": block.expand.weight,
                "linear1.bias": block.expand.bias,
                "linear2.weight": block.contract.weight,
                "linear2.bias": block.contract.bias,
                "norm1.weight": block.attention_norm.weight,
                "norm1.bias": block.attention_norm.bias,
                "norm2.weight": block.feed_forward_norm.weight,
                "norm2.bias": block.feed_forward_norm.bias,
            }
        )
        x = layer(x, src_mask=mask)
    reference = model.norm(x)[0] @ model.items.weight.T
    assert torch.allclose(model.training_scores(batch, torch.zeros(6, dtype=torch.long))[0].all(), reference)


def test_dropout_acts_in_training_only(model):
    batch = batch_of([3, 1, 4])
    assert torch.equal(model.next_item_scores(batch).all(), model.next_item_scores(batch).all())
    model.train()
    assert not torch.equal(model.next_item_scores(batch).all(), model.next_item_scores(batch).all())


@pytest.mark.parametrize(
    "setting", [{"embedding_dim": 0}, {"num_blocks": 0}, {"dropout": 1.0}, {"num_heads": 3}, {"max_length": 0}]
)
def test_a_bad_size_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=rf"model\.{next(iter(setting))}="):
        SASRec(20, **setting)


def test_the_prior_adds_the_log_of_an_items_share_of_the_events_to_every_score():
    torch.manual_seed(0)
    plain = SASRec(4, embedding_dim=8, prior="none").eval()
    torch.manual_seed(0)
    ours = SASRec(4, embedding_dim=8).eval()
    batch, events = batch_of([3, 1], [4]), torch.tensor([0.0, 5.0, 0.0, 1.0, 2.0])
    assert torch.equal(ours.next_item_scores(batch).all(), plain.next_item_scores(batch).all())
    for model in (plain, ours):
        model.set_prior(events)
    added = ours.next_item_scores(batch).all() - plain.next_item_scores(batch).all()
    assert torch.allclose(added, torch.tensor([1.0, 6 / 3, 1 / 3, 2 / 3, 3 / 3]).log().expand(2, -1), atol=1e-6)


def test_scores_of_some_items_equal_those_of_all(model):
    model.set_prior(torch.arange(21.0))
    some = model.next_item_scores(batch_of([3, 1], [4]))
    items = torch.tensor([[1, 7, 20], [3, 3, 2]])
    assert torch.allclose(some.at(items), some.all().gather(1, items))
    assert torch.allclose(some.scaled(0.5).all(), 2 * some.all())
