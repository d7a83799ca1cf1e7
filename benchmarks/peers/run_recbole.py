"""RecBole 1.2.1: SASRec with cross-entropy. It learns the last position of every prefix, a row each.

A step has 2,048 prefixes, as many targets as a step of the others on ML-100K.
Only the time of an epoch is measured, from a few steps.
"""

import contextlib
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import torch
from judge import Done, Judge

load = torch.load  # RecBole loads its own pickles
torch.load = lambda *arguments, **more: load(*arguments, **{**more, "weights_only": False})

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.utils import init_seed

judge = Judge()
sys.argv = sys.argv[:1]
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "data").mkdir()
    with (Path(folder) / "data" / "data.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(len(judge.valid)):
            history = judge.items[judge.indptr[user] : judge.indptr[user + 1]]
            file.writelines(f"{user}\t{item}\t{time}\n" for time, item in enumerate(history))
    split = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
    settings = {
        "data_path": folder,
        "use_gpu": False,
        "n_layers": 2,
        "n_heads": 1,
        "hidden_size": 64,
        "inner_size": 64,
        "hidden_dropout_prob": judge.options.dropout,
        "attn_dropout_prob": judge.options.dropout,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "MAX_ITEM_LIST_LENGTH": judge.length,
        "train_batch_size": 2048,
        "eval_args": split,
        "learning_rate": 1e-3,
        "show_progress": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    }
    config = Config(model="SASRec", dataset="data", config_dict=settings)
    init_seed(judge.options.seed, True)
    training, *_ = data_preparation(config, create_dataset(config))
    model = SASRec(config, training.dataset).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = iter(training)
    judge.start()
    for k in range(judge.options.steps):
        judge.step(k)
        optimizer.zero_grad()
        loss = model.calculate_loss(next(batches))
        loss.backward()
        loss.item()
        optimizer.step()
    judge.stop()
    with contextlib.suppress(Done):
        judge.note(0, None, len(training))
