import torch

from hybrid_seq_gnn.training import precision


def test_a_slow_bfloat16_is_warned_of_with_the_ratio_and_a_fast_one_is_not(monkeypatch, caplog):
    for half in (8.0, 0.5):
        monkeypatch.setattr(precision, "seconds", lambda dtype, half=half: half if dtype == torch.bfloat16 else 1.0)
        precision.warn_slow_bf16()
    (record,) = caplog.records
    assert "8.0 times as long in bfloat16" in record.getMessage()


def test_a_product_takes_time():
    assert 0 < precision.seconds(torch.float32) < 1
