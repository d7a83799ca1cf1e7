"""One run on two CPU processes, through torchrun and the real command line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.evaluation.evaluate import Ranking, merge, part_of
from hybrid_seq_gnn.training import distributed
from tests.commands import Fork, results, succeed
from tests.sweeps.postgres import free_port

WORLD = [
    "data=synthetic",
    "data.users=200",
    "data.items=60",
    "model.embedding_dim=16",
    "training.epochs=3",
    "training.batch_size=16",
    "training.device=cpu",
]
EXACT = [*WORLD, "model.num_blocks=1", "model.dropout=0"]  # dropout and negatives are drawn by each process for itself
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m", "hybrid_seq_gnn"]
HERE = {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def torchrun(*arguments, cwd):
    """The command on two processes."""
    return subprocess.run(
        [*TORCHRUN, *arguments], cwd=cwd, env={**os.environ, **HERE}, capture_output=True, text=True, timeout=100
    )


def two_processes(*arguments, cwd):
    """The command on two forks of this process, as torchrun would start them. Returns how both ended."""
    world = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "MASTER_PORT": str(free_port()), **HERE}
    both = [Fork(*arguments, cwd=cwd, RANK=str(rank), LOCAL_RANK=str(rank), **world) for rank in range(2)]
    return [running.end() for running in both]


def succeed_together(*arguments, cwd):
    first, second = two_processes(*arguments, cwd=cwd)
    assert (first.returncode, second.returncode, second.stdout) == (0, 0, ""), (first, second)
    return first


def history(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_run(one, two):
    """Losses of all epochs and all metrics agree to 1e-4."""
    for alone, shared in zip(history(one), history(two), strict=True):
        assert shared["loss"] == (None if alone["loss"] is None else pytest.approx(alone["loss"], rel=1e-4))
        assert shared["validation"] == pytest.approx(alone["validation"], abs=1e-4)
    assert results(two)["best_epoch"] == results(one)["best_epoch"]
    for split in ("grouped_metrics", "validation_grouped_metrics"):
        for group, expected in results(one)[split].items():
            assert results(two)[split][group] == pytest.approx(expected, abs=1e-4), (split, group)
    assert (results(one)["processes"], results(two)["processes"]) == (1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["model=sasrec"],
        # a batch of one leaves one process without rows; the penalty must count once
        [
            *(
                "+experiment=study/embeddings",
                "data.users=40",
                "training.batch_size=1",
                "training.epochs=2",
                "fusion=learnable",
                "fusion.l2_weight=0.5",
            ),
            *("training.clip_norm=1", "training.ema=0.5"),
        ],
        ["model=popularity"],
    ],
    ids=["sasrec", "learnable fusion, batches of one", "popularity"],
)
def test_two_processes_give_the_numbers_of_one(arguments, tmp_path):
    exact = EXACT if "model=popularity" not in arguments else [a for a in EXACT if not a.startswith("model.")]
    succeed(*exact, *arguments, "hydra.run.dir=one", cwd=tmp_path)
    done = succeed_together(*exact, *arguments, cwd=tmp_path)
    (two,) = tmp_path.glob("outputs/*/*")  # one folder, whatever second the clocks showed
    assert_same_run(tmp_path / "one", two)
    assert {p.name for p in two.iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}
    assert {p.name for p in tmp_path.iterdir()} == {"one", "outputs"}
    for line in ("data: ", "written to "):  # said once, on the console as in the log
        assert done.stdout.count(line) == (two / "train.log").read_text().count(line) == 1


def test_two_processes_learn_as_well_from_negatives_and_dropout_of_their_own(tmp_path):
    sampled = [
        *WORLD,
        "+experiment=study/embeddings",
        "training=two_stage",
        "training.graph_epochs=1",
        "loss=bce",
        "negatives=in_batch",
    ]
    succeed(*sampled, "hydra.run.dir=one", cwd=tmp_path)
    succeed_together(*sampled, "hydra.run.dir=two", cwd=tmp_path)
    losses = [[epoch["loss"] for epoch in history(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]
    assert losses[1][-1] < losses[1][0]


def test_a_killed_process_ends_all_and_the_same_command_goes_on(tmp_path):
    long = [*EXACT, "model=sasrec", "training.epochs=12", "training.patience=0", "training.batch_size=8"]
    running = subprocess.Popen(
        [*TORCHRUN, *long, "hydra.run.dir=two"],
        cwd=tmp_path,
        env={**os.environ, **HERE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "two" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.02)
    workers = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(running.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(workers.stdout.split()[1]), signal.SIGKILL)
    _, said = running.communicate(timeout=30)
    assert running.returncode != 0
    assert said.count("error: ") <= 1, said  # none, if torchrun was faster than the other process
    assert "Traceback" not in said.partition("torch/distributed/elastic")[0]
    assert not (tmp_path / "two" / "results.json").exists()
    shorter = len(history(tmp_path / "two"))
    assert 2 <= shorter < 12
    assert succeed_together(*long, "hydra.run.dir=two", cwd=tmp_path).stdout.count("resumed after epoch") == 1
    succeed(*long, "hydra.run.dir=one", cwd=tmp_path)
    assert_same_run(tmp_path / "one", tmp_path / "two")


def the_one_error(said):
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


def test_an_error_ends_all_processes_with_one_message(tmp_path):
    done = torchrun(*EXACT, "training.lr=1e30", "training.weight_decay=0", cwd=tmp_path)
    assert done.returncode != 0
    assert "the loss became" in the_one_error(done.stderr)
    assert not list(tmp_path.rglob("results.json"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["fusion.alpha=1.7"], "fusion.alpha=1.7"), (["fusion.alpha=0.3,0.5", "-m"], "-m under torchrun")],
    ids=["setting", "sweep"],
)
def test_what_is_refused_is_said_once(arguments, words, tmp_path):
    both = two_processes(*EXACT, *arguments, cwd=tmp_path)
    assert all(done.returncode for done in both)
    assert words in the_one_error("".join(done.stderr for done in both))


def test_without_torchrun_nothing_is_distributed():
    weight = torch.nn.Parameter(torch.ones(2))
    assert distributed.average_over_positions([weight], torch.tensor(3.5), 7) == 3.5
    assert weight.grad is None
    assert (distributed.rank(), distributed.world_size(), distributed.broadcast("a")) == (0, 1, "a")
    assert distributed.gather("a") == ["a"]


def test_parts_of_a_ranking_are_dealt_and_merged_without_loss():
    positions = np.array([3, -1, 7, 2, 9, 1])
    parts = [part_of(positions, lambda rows, k=k: slice(k, rows, 4)) for k in range(4)]
    assert np.array_equal(np.max(parts, axis=0), positions)
    assert sum((part >= 0).sum() for part in parts) == 5
    rankings = [Ranking(np.flatnonzero(p >= 0), 10 * p[p >= 0], p[p >= 0], p[p >= 0] / 10) for p in parts]
    nobody = Ranking(*(np.zeros(0, dtype=np.int64),) * 3, None)
    whole = merge([nobody, *rankings])
    assert whole.users.tolist() == [0, 2, 3, 4, 5]
    assert whole.lengths.tolist() == [3, 7, 2, 9, 1]
    assert whole.ranks.tolist() == [30, 70, 20, 90, 10]
    assert whole.alpha.tolist() == [0.3, 0.7, 0.2, 0.9, 0.1]


def gradients_of(rank, store, out):
    """One of two processes: three parameters, of which only the first has a gradient here, the last nowhere."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[rank].grad = torch.tensor([1.0, 2.0]) * (rank + 1)
    loss = distributed.average_over_positions(parameters, torch.tensor(10.0 * (rank + 1)), positions=3 - 2 * rank)
    torch.save([loss, *(p.grad for p in parameters)], f"{out}{rank}")
    torch.distributed.destroy_process_group()


def test_gradients_are_weighted_by_positions_and_missing_ones_stay_missing(tmp_path):
    files = str(tmp_path / "store"), str(tmp_path / "out")
    torch.multiprocessing.start_processes(gradients_of, files, nprocs=2, start_method="fork")
    for rank in range(2):
        loss, first, second, third = torch.load(tmp_path / f"out{rank}")
        assert loss == pytest.approx((3 * 10 + 1 * 20) / 4)
        assert first.tolist() == pytest.approx([3 * 1 / 4, 3 * 2 / 4])
        assert second.tolist() == pytest.approx([2 / 4, 4 / 4])
        assert third is None
