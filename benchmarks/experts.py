"""What a third expert adds to a trained hybrid: NDCG@10 on validation (and test) at some weights.

    score_j = alpha log p_seq(j) + (1 - alpha) log p_graph(j) + weight * expert_j

The experts: EASE (l2 = 200), and the logarithm of the sum of an item's cosines with those of the history, by users in
common. Nothing is trained.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import table
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.model.counts import gram
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.scores import MixtureScores
from hybrid_seq_gnn.use.histories import Before, of_training, training_data
from hybrid_seq_gnn.use.load import Trained, choose, load_trained
from hybrid_seq_gnn.use.recommend import batches

WEIGHTS = {"ease": (0.5, 1.0, 2.0, 4.0), "cosine": (0.1, 0.2, 0.3, 0.5)}
LEAST = 1e-9  # of a sum of cosines, before its logarithm


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="of a hybrid that mixes scores, fusion.mix=geometric")
    parser.add_argument("--test", action="store_true", help="on the test split, too")


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    splits: list[Before] = ["validation", "test"] if options.test else ["validation"]
    table(("run", "expert", "weight", *splits), (row for name in options.runs for row in rows(name, splits)))


def rows(name: str, splits: list[Before]) -> Iterator[tuple[str, ...]]:
    trained = load_trained(choose(name), "cpu")
    prepared = training_data(trained)
    matrices = {"ease": EASE(prepared.sequences, prepared.split).weights, "cosine": cosines(prepared)}
    found = [ndcg(trained, prepared, matrices, before) for before in splits]
    for expert, weight in found[0]:
        yield name, expert, f"{weight:g}", *(f"{each[expert, weight]:.4f}" for each in found)


def cosines(prepared: Prepared) -> Tensor:
    both = gram(prepared.sequences, prepared.split)
    users = both.diagonal().clone().clamp(min=1).sqrt()
    return (both / users / users[:, None]).fill_diagonal_(0.0)


def ndcg(
    trained: Trained, prepared: Prepared, matrices: dict[str, Tensor], before: Before
) -> dict[tuple[str, float], float]:
    """NDCG@10 of each expert at each of its weights; of none at 0."""
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
            ease, cosine = had @ matrices["ease"], (had @ matrices["cosine"]).clamp_(min=LEAST).log_()
            mixed, target = scores.all(), torch.from_numpy(targets[rows])
            tries = [("none", 0.0, mixed)]
            tries += [("ease", weight, mixed + weight * ease) for weight in WEIGHTS["ease"]]
            tries += [("cosine", weight, mixed + weight * cosine) for weight in WEIGHTS["cosine"]]
            for expert, weight, each in tries:
                ranks.setdefault((expert, weight), []).append(rank_of_target(each, target, seen).numpy())
    return {key: float(metrics(np.concatenate(found))["NDCG@10"] or 0.0) for key, found in ranks.items()}
