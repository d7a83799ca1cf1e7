"""Plain wrong arguments are refused in words, and one thing is a list of one."""

import jaxtyping
import numpy as np
import pandas as pd
import pytest

from hybrid_seq_gnn import train


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would speak first


def frame():
    rng = np.random.default_rng(0)
    rows = [(user, int(item), k) for user in range(30) for k, item in enumerate(rng.permutation(20)[:8])]
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"model": {"embedding_dim": 8, "num_blocks": 1}, "training": {"epochs": 1, "encoders": None}}
    return train(frame(), folder=tmp_path_factory.mktemp("run"), **settings)


@pytest.mark.parametrize("k", ["2", 2.5, 0, None])
def test_a_number_of_items_that_is_none_is_refused(k, run):
    with pytest.raises(ValueError, match=r"k=.*whole number"):
        run.recommend(k=k)


def test_one_user_or_item_is_a_list_of_one(run):
    assert run.recommend(users=5, k=np.int64(2)).equals(run.recommend(users=[5], k=2))
    assert run.recommend(history=3, k=2).equals(run.recommend(history=[3], k=2))
    assert run.alpha(5).tolist() == run.alpha([5]).tolist() == [0.5]


@pytest.mark.parametrize("lengths", [[5.5], [0], "5", [None]])
def test_a_length_that_is_none_is_refused(lengths, run):
    with pytest.raises(ValueError, match="lengths"):
        run.alpha(lengths)


def test_no_lengths_have_no_alpha(run):
    assert run.alpha([]).shape == (0,)


def test_a_group_that_is_no_option_and_a_folder_that_is_a_file_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="gnn=None: expected the name of an option"):
        train(frame(), folder=tmp_path / "run", gnn=None)
    with pytest.raises(ValueError, match="file is a file"):
        train(frame(), folder=tmp_path / "file")
