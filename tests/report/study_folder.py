"""A study to report on: run folders with all their files, whose numbers the tests choose."""

import json

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.results.folders import random_ranks, write_run

USERS = 150
LENGTHS = np.tile([4, 8, 20, 33, 60], USERS // 5)


def complete(folder, alpha=None, graph=True, validation=0.1):
    """Add to a run folder what a real run leaves beside the ranks."""
    path = folder / "results.json"
    results = json.loads(path.read_text())
    results["config"]["data"]["path"] = "a & b"
    results |= {
        "best_val_metric": validation,
        "validation_grouped_metrics": {g: {"NDCG@10": validation} for g in results["grouped_metrics"]},
        "command": "python -m hybrid_seq_gnn 'model=sasrec,hybrid' -m",
        "identity": "1d" * 32,
        "peak_memory_mib": 512.5,
        "device": "cpu",
        "threads": 1,
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "git": {"commit": "c0ffee" * 6, "dirty": True},
        "graph": {"nodes": 99, "density": 0.25, "degree": {"median": 4.0}} if graph else None,
    }
    if alpha is not None:
        results["alpha_curve"] = {"length": list(range(1, 201)), "alpha": [alpha] * 200}
    path.write_text(json.dumps(results))
    lines = [{"epoch": k, "loss": 5 / k, "validation": {"NDCG@10": 0.03 * k}} for k in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def study(folder, name="sweep"):
    """A journal as a search leaves it: twelve trials (one pruned, one failed), one interrupted, half of a line."""
    path = folder / "study.journal"
    found = optuna.create_study(
        study_name=name, storage=JournalStorage(JournalFileBackend(str(path))), direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )  # fmt: skip
    for k in range(13):
        trial = found.ask()
        alpha, lr = trial.suggest_float("fusion.alpha", 0, 1), trial.suggest_float("training.lr", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("gnn", ["lightgcn", "none"])
        if k == 5:
            trial.set_user_attr("error", "the loss became nan <in epoch 2>")
            found.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif k == 12:
            found.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif k == 6:
            trial.report(0.01, 1)
            found.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            found.tell(trial, 0.1 - (alpha - 0.5) ** 2 - lr / 100)
    with path.open("a") as file:
        file.write('{"op_code":5,"worker')


def outputs(folder, lengths=LENGTHS):
    """A baseline, a sweep over alpha that is much better, other fusions; two seeds each."""
    users = len(lengths)
    for seed in (0, 1):
        base = folder / f"base/{seed}"
        write_run(base, random_ranks(seed, users), lengths=lengths, seed=seed, model="sasrec")
        complete(base, graph=False)
        for k, alpha in enumerate((0.3, 0.5, 0.7)):
            run = folder / f"sweep/{k}_seed{seed}"
            write_run(
                run,
                random_ranks(10 + 2 * k + seed, users, 0.3 + k / 3),
                lengths=lengths,
                seed=seed,
                fusion__alpha=alpha,
            )
            complete(run, alpha, validation=0.2 - alpha / 10)
        for k, option in enumerate(("learnable", "<script>alert(1)</script> & $x$")):
            run = folder / f"others/{k}_seed{seed}"
            write_run(run, random_ranks(30 + 2 * k + seed, users, 0.9), lengths=lengths, seed=seed)
            path = run / "results.json"
            results = json.loads(path.read_text())
            results["options"]["fusion"] = results["config"]["fusion"]["_target_"] = option
            path.write_text(json.dumps(results))
            complete(run, 0.4 + k / 5)
    (folder / "sweep/leaderboard.csv").write_text("")
    study(folder / "sweep")
    return folder
