"""What a third expert adds to a trained hybrid: NDCG@10 on validation (and test) at some weights.

    score_j = alpha log p_seq(j) + (1 - alpha) log p_graph(j) + weight * expert_j

The experts: EASE (l2 = 200), and the logarithm of the sum of an item's cosines with those of the history, by users in
common. With --memories, evidence memories with other settings instead, whose weight is taken from the hybrid's score:

    score_j = (1 - weight) * (alpha log p_seq(j) + (1 - alpha) log p_graph(j)) + weight * log p_other(j)

Nothing is trained.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import table
from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.gnn.evidence import Evidence
from hybrid_seq_gnn.model.counts import gram
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.memory_scores import MemoryScores
from hybrid_seq_gnn.model.scores import MixtureScores
from hybrid_seq_gnn.use.histories import Before, of_training, training_data
from hybrid_seq_gnn.use.load import Trained, choose, load_trained
from hybrid_seq_gnn.use.recommend import batches

Expert = Callable[[Batch, Tensor], Tensor]  # from histories, and (B, N) ones at their items, to scores of all items

WEIGHTS = {"ease": (0.5, 1.0, 2.0, 4.0), "cosine": (0.1, 0.2, 0.3, 0.5)}
LEAST = 1e-9  # of a sum of cosines, before its logarithm
MEMORIES: dict[str, dict[str, Any]] = {  # what differs from the default
    "window 1": {"window": 1},
    "window 3": {"window": 3, "decay": 0.7},
    "window 30": {"window": 30, "decay": 0.93},
    "bayes": {"read": "bayes"},
    "bayes, kappa 1000": {"read": "bayes", "kappa": 1000.0},
    "bayes, recency .8": {"read": "bayes", "bayes_recency": 0.8},
    "bayes, 100 items": {"read": "bayes", "bayes_recency": 0.95, "last": 100},
    "rows": {"read": "rows"},
}
OF_MEMORIES = (0.1, 0.2)  # their weights


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="of a hybrid that mixes scores, fusion.mix=geometric")
    parser.add_argument("--memories", action="store_true", help="evidence memories with other settings as the experts")
    parser.add_argument("--test", action="store_true", help="on the test split, too")


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    splits: list[Before] = ["validation", "test"] if options.test else ["validation"]
    found = (row for name in options.runs for row in rows(name, splits, options.memories))
    table(("run", "expert", "weight", *splits), found)


def rows(name: str, splits: list[Before], memories: bool) -> Iterator[tuple[str, ...]]:
    trained = load_trained(choose(name), "cpu")
    prepared = training_data(trained)
    experts = {name: memory(prepared, name) for name in MEMORIES} if memories else counted(prepared)
    weights = dict.fromkeys(MEMORIES, OF_MEMORIES) if memories else WEIGHTS
    found = [ndcg(trained, prepared, experts, weights, before, convex=memories) for before in splits]
    for expert, weight in found[0]:
        yield name, expert, f"{weight:g}", *(f"{each[expert, weight]:.4f}" for each in found)


def counted(prepared: Prepared) -> dict[str, Expert]:
    ease, cosine = EASE(prepared.sequences, prepared.split).weights, cosines(prepared)
    return {
        "ease": lambda batch, had: had @ ease,
        "cosine": lambda batch, had: (had @ cosine).clamp_(min=LEAST).log_(),
    }


def cosines(prepared: Prepared) -> Tensor:
    both = gram(prepared.sequences, prepared.split)
    users = both.diagonal().clone().clamp(min=1).sqrt()
    return (both / users / users[:, None]).fill_diagonal_(0.0)


def memory(prepared: Prepared, name: str) -> Expert:
    evidence = Evidence(prepared.sequences, prepared.split, **MEMORIES[name])

    def score(batch: Batch, had: Tensor) -> Tensor:
        return MemoryScores(evidence, batch, batch.last).all()

    return score


def ndcg(
    trained: Trained,
    prepared: Prepared,
    experts: dict[str, Expert],
    weights: dict[str, tuple[float, ...]],
    before: Before,
    convex: bool,
) -> dict[tuple[str, float], float]:
    """NDCG@10 of each expert at each of its weights, of none at 0; `convex` takes the weight from the hybrid."""
    histories = of_training(trained, before=before)
    position = (prepared.split.test if before == "test" else prepared.split.valid)[histories.rows]
    targets = prepared.sequences.items[prepared.sequences.indptr[histories.rows] + position]
    ranks: dict[tuple[str, float], list[np.ndarray]] = {}
    for rows, batch, seen in batches(trained, histories):
        with torch.inference_mode():
            scores = trained.model.next_item_scores(batch)  # type: ignore[operator]
            assert isinstance(scores, MixtureScores) and scores.geometric
            had = torch.zeros(len(rows), trained.num_items + 1).scatter_(1, seen, 1.0)
            had[:, 0] = 0.0
            mixed, target = scores.all(), torch.from_numpy(targets[rows])
            tries = [("none", 0.0, mixed)]
            for name, expert in experts.items():
                other = expert(batch, had)
                tries += [(name, by, (1 - by if convex else 1) * mixed + by * other) for by in weights[name]]
            for name, by, each in tries:
                ranks.setdefault((name, by), []).append(rank_of_target(each, target, seen).numpy())
    return {key: float(metrics(np.concatenate(found))["NDCG@10"] or 0.0) for key, found in ranks.items()}
