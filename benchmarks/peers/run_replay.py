"""RePlay 0.22.0: SasRec with cross-entropy, histories grouped by length in buckets of 16."""

import contextlib
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import torch
from judge import Done, Judge, padded_left
from replay.data import FeatureHint, FeatureSource, FeatureType
from replay.data.nn import TensorFeatureInfo, TensorFeatureSource, TensorSchema
from replay.nn.sequential import SasRec
from replay.nn.sequential.length_bucket import LengthBucketedQueryEncoder

judge = Judge()
padding = judge.num_items
info = TensorFeatureInfo(
    "item_id",
    is_seq=True,
    feature_type=FeatureType.CATEGORICAL,
    embedding_dim=64,
    padding_value=padding,
    cardinality=padding,
    feature_hint=FeatureHint.ITEM_ID,
    feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
)
shape = {"embedding_dim": 64, "num_heads": 1, "num_blocks": 2, "max_sequence_length": judge.length}
model = SasRec.from_params(TensorSchema([info]), dropout=judge.options.dropout, **shape)
model.body.encoder = LengthBucketedQueryEncoder(model.body.encoder, 16)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98))


def padded(rows):
    return torch.from_numpy(padded_left([row - 1 for row in rows], judge.length, padding))


def score(histories):
    model.eval()
    x = padded(histories)
    with torch.no_grad():
        logits = model(feature_tensors={"item_id": x}, padding_mask=x != padding)["logits"].numpy()
    return np.concatenate([np.full((len(histories), 1), -1e30), logits[:, :padding]], axis=1)


def step(rows):
    x, y = padded([row[:-1] for row in rows]), padded([row[1:] for row in rows])
    optimizer.zero_grad()
    loss = model(
        feature_tensors={"item_id": x},
        padding_mask=x != padding,
        positive_labels=y.unsqueeze(-1),
        negative_labels=None,
        target_padding_mask=(y != padding).unsqueeze(-1),
    )["loss"]
    loss.backward()
    loss.item()
    optimizer.step()


rng, windows, limit = np.random.default_rng(judge.options.seed), judge.windows(), judge.options.steps
with contextlib.suppress(Done):
    for epoch in range(1, judge.options.epochs + 1):
        model.train()
        judge.start()
        order = rng.permutation(len(windows))[: limit * judge.batch or None]
        for k, first in enumerate(range(0, len(order), judge.batch)):
            judge.step(k)
            step([windows[j] for j in order[first : first + judge.batch]])
        judge.stop()
        judge.note(epoch, score)
