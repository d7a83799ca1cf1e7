"""RecTools 0.19.0: SASRecModel with the softmax loss; each window is a session of its own."""

import contextlib
import json
import logging
import warnings

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from judge import Done, Judge, padded_left
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

judge = Judge()
limit, windows = judge.options.steps, judge.windows()
frame = pd.DataFrame(
    {
        Columns.User: np.repeat(np.arange(len(windows)), [len(w) for w in windows]),
        Columns.Item: np.concatenate(windows),
        Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(np.concatenate([np.arange(len(w)) for w in windows]), unit="s"),
    }
)


class Watch(pl.Callback):
    def on_train_epoch_start(self, trainer, module):
        judge.start()

    def on_train_batch_start(self, trainer, module, batch, k):
        judge.step(k)

    def on_train_epoch_end(self, trainer, module):
        judge.stop()
        net = module.torch_model
        net.eval()
        external = model.data_preparator.item_id_map.external_ids
        code, column = np.zeros(judge.num_items + 1, np.int64), np.zeros(len(external), np.int64)
        for k, item in enumerate(external):
            if item != "PAD":
                code[int(item)], column[k] = k, int(item)

        def score(histories):
            x = torch.from_numpy(padded_left([code[history] for history in histories], judge.length))
            with torch.no_grad():
                table = net.item_model.get_all_embeddings()
                scores = (net.encode_sessions({"x": x}, table)[:, -1] @ table.T).numpy()
            out = np.full((len(histories), judge.num_items + 1), -1e30)
            out[:, column[1:]] = scores[:, 1:]
            return out

        judge.note(trainer.current_epoch + 1, score)
        net.train()


def trainer():
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(
        max_epochs=judge.options.epochs,
        limit_train_batches=limit or 1.0,
        accelerator="cpu",
        enable_model_summary=False,
        callbacks=[Watch()],
        **quiet,
    )


pl.seed_everything(judge.options.seed)
model = SASRecModel(
    n_factors=64,
    n_blocks=2,
    n_heads=1,
    session_max_len=judge.length,
    dropout_rate=judge.options.dropout,
    loss="softmax",
    batch_size=judge.batch,
    lr=1e-3,
    epochs=judge.options.epochs,
    train_min_user_interactions=2,
    get_trainer_func=trainer,
    dataloader_num_workers=0,
)
with contextlib.suppress(Done):
    model.fit(Dataset.construct(frame))
if judge.options.recommend:
    users = np.repeat(np.arange(len(judge.valid)), np.diff(judge.indptr))
    times = pd.to_datetime(np.arange(len(users)), unit="s")
    columns = {Columns.User: users, Columns.Item: judge.items, Columns.Weight: 1.0, Columns.Datetime: times}
    histories, judge.cpu = Dataset.construct(pd.DataFrame(columns)), 0.0
    judge.start()
    found = model.recommend(np.arange(len(judge.valid)), histories, k=judge.options.recommend, filter_viewed=True)
    judge.stop()
    assert found[Columns.User].nunique() == len(judge.valid)
    print(json.dumps({"epoch": 0, "cpu": judge.cpu}), flush=True)
