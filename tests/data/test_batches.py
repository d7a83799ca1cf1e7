import numpy as np
import pytest

from hybrid_seq_gnn.data.batches import TrainingWindows, ranking_batches, users_at_a_time
from tests.conftest import leave_last_two_out, make_sequences


def positions(windows, seed=0):
    """(user, items read so far in the window, length, target) of every position."""
    for training in windows.epoch(np.random.default_rng(seed)):
        batch, k = training.batch, 0
        for row, user in enumerate(batch.users.tolist()):
            for t in range(batch.items.shape[1]):
                if batch.items[row, t] == 0:
                    assert batch.length[row, t] == 0
                    continue
                yield user, batch.items[row, : t + 1].tolist(), batch.length[row, t].item(), training.targets[k].item()
                k += 1
        assert k == len(training.targets)


@pytest.mark.parametrize("max_length", [1, 4, 6, 50])
def test_every_training_event_but_the_first_is_a_target_exactly_once(sequences, split, max_length):
    windows = TrainingWindows(sequences, split, max_length, batch_size=3)
    seen = []
    for user, items, length, target in positions(windows):
        history = sequences.history(user, split.train_end[user]).tolist()
        assert history[length] == target  # `length` events came before it, counted before any truncation
        assert history[length - len(items) : length] == items
        assert len(items) <= max_length
        seen.append((user, length))
    assert sorted(seen) == [(u, n) for u in range(sequences.num_users) for n in range(1, split.train_end[u])]
    assert windows.num_targets == len(seen)


def test_no_held_out_item_is_ever_read_or_learned(sequences, split):
    read = {u: set() for u in range(sequences.num_users)}
    for user, items, _, target in positions(TrainingWindows(sequences, split, 50, batch_size=4)):
        read[user] |= {*items, target}
    for user in range(sequences.num_users):
        assert not read[user] & set(sequences.history(user, sequences.lengths[user])[split.train_end[user] :].tolist())


def test_batches_differ_between_epochs_and_agree_for_a_seed():
    sequences = make_sequences([6] * 40)
    windows = TrainingWindows(sequences, leave_last_two_out(sequences), 50, batch_size=8)

    def users(seed):
        return [b.batch.users.tolist() for b in windows.epoch(np.random.default_rng(seed))]

    assert users(1) == users(1) != users(2)


def test_ranking_begins_with_the_longest_histories(sequences, split):
    users = np.arange(sequences.num_users)
    ranking = [*ranking_batches(sequences, users, split.test, max_length=6, batch_size=3)]
    lengths = np.concatenate([split.test[each.batch.users.numpy()] for each in ranking])
    assert lengths.tolist() == sorted(split.test.tolist(), reverse=True)


def test_more_users_at_a_time_where_histories_are_short_and_fewer_where_items_are_many():
    read = np.array([200, 60, 50, 25, 25, 24, 12, 12, *[3] * 30])
    sizes = [len(read[part]) for part in users_at_a_time(read, 2, num_items=100)]
    assert sizes == [2, 2, 4, 8, 8, 8, 6]
    assert sum(sizes) == len(read)
    assert {len(read[part]) for part in users_at_a_time(read, 2, num_items=1 << 25)} == {1}
    assert list(users_at_a_time(read[:0], 2, num_items=9)) == []


def test_ranking_shows_the_full_history_and_the_model_its_end(sequences, split):
    for ranking in ranking_batches(sequences, np.arange(sequences.num_users), split.test, max_length=6, batch_size=3):
        for row, user in enumerate(ranking.batch.users.tolist()):
            history = sequences.history(user, split.test[user]).tolist()
            assert [i for i in ranking.history[row].tolist() if i] == history
            assert [i for i in ranking.batch.items[row].tolist() if i] == history[-6:]
            assert ranking.batch.length[row].max() == len(history)  # true length, not 6
            assert ranking.targets[row] == sequences.history(user, sequences.lengths[user])[split.test[user]]
