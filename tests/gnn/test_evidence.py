"""The evidence memory against its formula written slowly, and what must never change it."""

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.gnn import evidence
from hybrid_seq_gnn.gnn.evidence import UNIFORM, UNSEEN, Evidence
from hybrid_seq_gnn.graph import successors
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_sasrec import batch_of

READS = ("both", "bayes", "rows")
SETTINGS = {
    "window": 3,
    "decay": 0.7,
    "last": 4,
    "recency": 0.6,
    "exponent": 0.5,
    "bayes_recency": 0.4,
    "kappa": 30.0,
}


@pytest.fixture(params=[0, 2], ids=["rows of a matrix", "edges"], autouse=True)
def sums(request, monkeypatch):  # the two ways to sum over the last items
    monkeypatch.setattr(successors, "LEAST_FILLED", request.param)


@pytest.fixture
def world():
    sequences = make_sequences([3, 5, 8, 12, 30, 7, 4, 25], num_items=14)  # items come again
    return sequences, leave_last_two_out(sequences)


def count_rows(sequences, split, window, decay):
    """C and the events of each item."""
    table, events = np.zeros((sequences.num_items + 1,) * 2), np.zeros(sequences.num_items + 1)
    for user in range(sequences.num_users):
        row = sequences.history(user, split.train_end[user])
        for t, item in enumerate(row):
            events[item] += 1
            for s in range(max(0, t - window), t):
                if row[s] != item:
                    table[row[s], item] += decay ** (t - s - 1)
    return table, events


def slow(sequences, split, history, target=None, read="both"):
    """p of every item after a history; with a target, without its own pairs."""
    w = SETTINGS
    table, events = count_rows(sequences, split, w["window"], w["decay"])
    last = history[::-1][: w["last"]]
    if target is not None:
        for lag, item in enumerate(history[::-1][: min(w["window"], w["last"])]):
            if item != target:
                table[item, target] = max(table[item, target] - w["decay"] ** lag, 0)
    prior = np.maximum(events, UNSEEN)
    prior[0] = 0
    prior = prior / prior.sum()
    base = prior.copy()
    if target is not None:
        base[target] = max(events[target] - 1, UNSEEN) / np.maximum(events[1:], UNSEEN).sum()
    items = range(1, len(base))
    bayes, rows, below = np.zeros(len(base)), np.zeros(len(base)), 0.0
    for j in items:
        bayes[j] = base[j]
        for k, item in enumerate(last):
            bayes[j] *= (1 + table[item, j] / (w["kappa"] * base[j])) ** (w["bayes_recency"] ** k)
    for k, item in enumerate(last):
        total = table[item].sum()
        if total > 1e-9:
            below += w["recency"] ** k * total ** (1 - w["exponent"])
            rows += w["recency"] ** k * table[item] * total ** -w["exponent"]
    rows = rows / below if below else base
    rows[1:] = (1 - UNIFORM) * rows[1:] + UNIFORM / len(items)
    bayes = bayes / bayes.sum()
    return {"both": (bayes + rows) / 2, "bayes": bayes, "rows": rows}[read]


HISTORIES = [[3, 1, 4, 1, 5], [9], [2, 6, 5, 3, 5, 8, 9, 7], [14, 14, 2]]


def after_each(batch):
    """The history up to every position."""
    return [row[row > 0][: t + 1].tolist() for row in batch.items for t in range(int((row > 0).sum()))]


@pytest.mark.parametrize("read", READS)
def test_it_equals_the_formula(read, world):
    memory, batch = Evidence(*world, read=read, **SETTINGS), batch_of(*HISTORIES)
    found = memory.of_all(batch, torch.arange(len(after_each(batch))))
    expected = np.stack([slow(*world, history, read=read) for history in after_each(batch)])
    assert found.numpy() == pytest.approx(expected, abs=1e-6)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("leave_out", [False, True])
def test_the_targets_of_training_have_their_own_pairs_left_out(read, leave_out, world):
    sequences, split = world
    rows = [sequences.history(u, split.train_end[u]).tolist() for u in range(sequences.num_users)]
    rows = [row for row in rows if 2 <= len(row) <= 12]
    memory, batch = Evidence(*world, read=read, **SETTINGS), batch_of(*(row[:-1] for row in rows))
    targets = torch.tensor([item for row in rows for item in row[1:]])
    slowly = [
        slow(*world, history, int(t) if leave_out else None, read)
        for history, t in zip(after_each(batch), targets, strict=True)
    ]
    expected = [row[t] for row, t in zip(slowly, targets, strict=True)]
    assert memory.of_targets(batch, targets, leave_out).numpy() == pytest.approx(np.array(expected), abs=1e-6)
    some = torch.tensor([0, 3, 7])
    every = memory.of_all(batch, some, targets[some] if leave_out else None)
    assert every.numpy() == pytest.approx(np.stack([slowly[k] for k in some]), abs=1e-6)


@pytest.mark.parametrize("read", READS)
def test_a_target_without_another_event_is_as_rare_as_one_never_seen(read):
    sequences = make_sequences([4] * 12, num_items=200)  # most items occur once, and nothing else followed them
    split = leave_last_two_out(sequences)
    rows = [sequences.history(user, 2).tolist() for user in range(12)]
    batch, targets = batch_of(*([one] for one, _ in rows)), torch.tensor([two for _, two in rows])
    memory = Evidence(sequences, split, read=read, **SETTINGS)
    expected = [slow(sequences, split, [one], two, read)[two] for one, two in rows]
    assert memory.of_targets(batch, targets, leave_out=True).numpy() == pytest.approx(np.array(expected), rel=1e-3)


def test_a_real_position_of_training_is_as_if_it_had_not_been_there(world):
    """Leave-one-out of the last training event equals a memory that never saw that event."""
    sequences, split = world
    user = 4
    end = int(split.train_end[user])
    history, target = sequences.history(user, end - 1).tolist(), int(sequences.history(user, end)[-1])
    shorter = Split(np.where(np.arange(8) == user, end - 1, split.train_end), split.valid, split.test)
    batch, last = batch_of(history), torch.tensor([len(history) - 1])
    for read in ("bayes", "rows"):
        seen = Evidence(sequences, split, read=read, window=3, last=3, decay=0.7)
        unseen = Evidence(sequences, shorter, read=read, window=3, last=3, decay=0.7)
        left = seen.of_all(batch, last, torch.tensor([target]))[0]
        expected = unseen.of_all(batch, last)[0]
        # popularity is a share of all events, of which one is missing there
        assert (left[1:] / expected[1:]).log().std() < 0.01


@pytest.mark.parametrize("read", READS)
def test_who_the_users_are_and_what_is_held_out_changes_nothing(read, world):
    sequences, split = world
    batch = batch_of(*HISTORIES)
    rows = torch.arange(len(after_each(batch)))
    before = Evidence(sequences, split, read=read).of_all(batch, rows)
    order = [3, 0, 7, 5, 1, 2, 6, 4]
    lengths = sequences.lengths[order]
    permuted = Sequences(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([sequences.history(u, sequences.lengths[u]) for u in order]),
        None,
        sequences.user_ids[order],
        sequences.item_ids,
    )
    same = Evidence(permuted, leave_last_two_out(permuted), read=read).of_all(batch, rows)
    assert torch.allclose(before, same, atol=1e-7)
    for user in range(sequences.num_users):
        held_out = slice(sequences.indptr[user] + split.train_end[user], sequences.indptr[user + 1])
        sequences.items[held_out] = sequences.items[held_out] % 14 + 1
    assert torch.equal(before, Evidence(sequences, split, read=read).of_all(batch, rows))


def test_what_never_followed_keeps_its_popularity(world):
    sequences, split = world
    memory = Evidence(sequences, split, read="bayes", window=1)
    table, _ = count_rows(sequences, split, 1, 0.8)
    p, prior = memory.of_all(batch_of([9]), torch.tensor([0]))[0], memory.prior
    never = [j for j in range(1, 15) if table[9, j] == 0]
    ratio = p[never] / prior[never]
    assert len(never) > 1
    assert ratio == pytest.approx(ratio[0].item(), rel=1e-5)
    assert p[table[9].argmax()] > prior[table[9].argmax()]


def test_after_an_item_that_nothing_ever_followed_all_have_their_popularity(world):
    sequences, split = world
    sequences.items[sequences.items == 14] = 13  # item 14 is known, and training never sees it
    memory = Evidence(sequences, split)
    assert memory.successors.total[14] == 0
    assert torch.allclose(memory.of_all(batch_of([14]), torch.tensor([0]))[0], memory.prior, atol=2e-6)


def test_at_the_level_of_embeddings_an_item_becomes_the_mean_of_what_followed_it(world):
    table, _ = count_rows(*world, 10, 0.8)
    dense = torch.from_numpy(table / np.maximum(table.sum(1, keepdims=True), 1e-12))
    items = torch.randn(15, 4, dtype=torch.float64, requires_grad=True)
    smooth = Evidence(*world).double()(items)
    assert torch.allclose(smooth, dense @ items, atol=1e-6)
    grad = torch.autograd.grad(smooth.pow(2).sum(), items)[0]
    assert torch.allclose(grad, torch.autograd.grad((dense @ items).pow(2).sum(), items)[0], atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("read", READS)
def test_rows_some_at_a_time_are_the_rows_at_once(size, read, world, monkeypatch):
    memory, batch = Evidence(*world, read=read), batch_of(*HISTORIES)
    rows = torch.arange(len(after_each(batch)))
    whole = memory.of_all(batch, rows)
    assert memory.of_all(batch, rows[:0]).shape == (0, 15)
    monkeypatch.setattr(evidence, "AT_A_TIME", size)
    assert torch.equal(whole, memory.of_all(batch, rows))


@pytest.mark.parametrize("read", READS)
def test_a_pruned_memory_leaves_out_only_what_it_holds(read, world):
    """p still sums to one, and one item has the probability that it has among all."""
    sequences, split = world
    rows = [sequences.history(u, split.train_end[u]).tolist() for u in range(sequences.num_users)]
    rows = [row for row in rows if len(row) >= 2]
    batch, targets = batch_of(*(row[:-1] for row in rows)), torch.tensor([item for row in rows for item in row[1:]])
    memory = Evidence(*world, read=read, top_k=3)
    every = memory.of_all(batch, torch.arange(len(targets)), targets)
    assert every.sum(1) == pytest.approx(1, abs=1e-5)
    assert every.gather(1, targets[:, None])[:, 0] == pytest.approx(memory.of_targets(batch, targets, True), abs=1e-6)


def test_what_is_kept_is_said_where_it_was_not_asked_for(world, monkeypatch, caplog):
    monkeypatch.setattr(successors, "MAX_EDGES", 30)
    with caplog.at_level("INFO"):
        Evidence(*world)
    assert "gnn.top_k=2" in caplog.text


@pytest.mark.parametrize("read", READS)
def test_saved_and_loaded_it_says_the_same(read, world, tmp_path):
    memory, batch = Evidence(*world, read=read), batch_of(*HISTORIES)
    before = memory.of_all(batch, torch.arange(len(after_each(batch))))
    torch.save(memory.state_dict(), tmp_path / "memory.pt")
    again = Evidence(*world, read=read)
    again.load_state_dict(torch.load(tmp_path / "memory.pt", weights_only=True))
    assert torch.equal(again.of_all(batch, torch.arange(len(before))), before)
    assert set(memory.state_dict()) == {"events", *(f"successors.{n}" for n in ("start", "then", "count", "total"))}


def test_padding_and_company_change_nothing(world):
    memory = Evidence(*world)
    alone = [memory.of_all(batch_of(row), torch.tensor([len(row) - 1]))[0] for row in HISTORIES]
    together, ends = batch_of(*HISTORIES, width=12), torch.tensor([len(row) for row in HISTORIES]).cumsum(0) - 1
    assert torch.allclose(memory.of_all(together, ends), torch.stack(alone), atol=1e-7)


@pytest.mark.parametrize(
    "setting", [{"window": 0}, {"decay": 0.0}, {"kappa": 0.0}, {"exponent": 1.1}, {"last": 0}, {"top_k": 0}]
)
def test_a_bad_setting_is_refused_by_name(setting, world):
    with pytest.raises(ValueError, match=rf"gnn\.{next(iter(setting))}="):
        Evidence(*world, **setting)
