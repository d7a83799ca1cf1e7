"""Run folders for tests, written as a run writes them, from ranks that the test chooses."""

import json

import numpy as np
import pandas as pd

from hybrid_seq_gnn.evaluation.groups import LengthGroups, grouped_metrics

LENGTHS = np.array([5, 8, 20, 30, 60, 80, 9, 40])


def write_run(
    folder, ranks, *, lengths=LENGTHS, seed=0, model="hybrid", split="a" * 64, name=None, users=None, **settings
):
    """A finished run; settings are `fusion__alpha=0.3`."""
    folder.mkdir(parents=True)
    ranks, lengths = np.asarray(ranks), np.asarray(lengths)
    groups = LengthGroups()
    config = {
        "seed": seed,
        "debug": False,
        "name": name,
        "data": {"_target_": "x", "path": None, "min_rating": 4.0},
        "model": {"_target_": f"x.{model}", "dropout": 0.3},
        "fusion": {"_target_": "x", "alpha": 0.5} if model == "hybrid" else None,
        "training": {"_target_": "x", "lr": 0.001, "resume": True},
        "evaluation": {
            "_target_": "x",
            "groups": {"_target_": "x", "short": 10, "long": 50},
            "mask_history": True,
            "batch_size": 256,
        },
    }
    for key, value in settings.items():
        group, setting = key.split("__")
        config[group][setting] = value
    measured = grouped_metrics(ranks, lengths, groups)
    results = {
        "schema_version": 1,
        "options": {"model": model, "fusion": "fixed", "data": "ml-1m", "training": "default", "evaluation": "default"},
        "config": config,
        "seed": seed,
        "grouped_metrics": measured,
        "test_metrics": {k: v for k, v in measured["overall"].items() if k != "count"},
        "validation_grouped_metrics": {group: {"NDCG@10": 0.1 + seed / 100} for group in measured},
        "best_val_metric": 0.1 + seed / 100,
        "best_epoch": 3,
        "data": {"split_hash": split, "users": len(ranks), "items": 99, "events": 1234},
        "parameters": 1000,
        "seconds": {"total": 12.3},
    }
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "train.log").write_text("")
    frame = pd.DataFrame(
        {
            "user": np.arange(len(ranks)) if users is None else users,
            "target": np.arange(len(ranks)) + 7,
            "length": lengths,
            "group": groups.group_of(lengths),
            "rank": ranks,
            "alpha": np.nan,
        }
    )
    frame.to_parquet(folder / "per_user.parquet", index=False)
    return folder


def random_ranks(seed, users=8, better=1.0):
    """Ranks of a model; `better` below 1 makes a better one."""
    return np.ceil(np.random.default_rng(seed).exponential(12 * better, users)).astype(int)
