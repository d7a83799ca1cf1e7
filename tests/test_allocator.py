"""Freed memory goes back to the operating system now and then, and no batch is lost for it."""

from hybrid_seq_gnn import allocator


def test_batches_come_through_and_memory_is_released_between_them(monkeypatch):
    released, clock = [], iter(range(1000))
    monkeypatch.setattr(allocator, "release_freed_memory", lambda: released.append(True))
    monkeypatch.setattr(allocator.time, "perf_counter", lambda: next(clock))  # a second a look
    assert list(allocator.releasing(range(12))) == list(range(12))
    assert len(released) == 7  # after every second batch, with two seconds, and after the last
