"""Every logger with its own package: what it wrote is read back and held against the run's own files."""

import importlib.util
import json
import struct
import time

import pytest

from hybrid_seq_gnn.logger.mlflow import MLflow
from hybrid_seq_gnn.logger.protocol import SafeLogger, scalars, summary
from hybrid_seq_gnn.logger.tensorboard import TensorBoard
from hybrid_seq_gnn.logger.wandb import WandB
from tests.commands import SMALL, fail, results, succeed

TRAINED = [*SMALL, "+experiment=study/embeddings"]  # one stage, whose epochs are the run's

HISTORY = [
    {"epoch": epoch, "loss": 1 / epoch, "seconds": 0.5, "validation": {"NDCG@10": epoch / 10, "NDCG@10/long": None}}
    for epoch in (1, 2, 3)
]
SETTINGS = {"model": "sasrec", "model.dropout": 0.3, "fusion": None}


def needs(package):
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


def read_tensorboard(folder):
    """{name: [(step, value)]} of the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Tags()["tensors"] == ["settings/text_summary"]
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def read_mlflow(uri):
    """{name: [(step, value)]} of the only run, and the run."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("hybrid_seq_gnn").experiment_id])
    every = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {name: [(m.step, m.value) for m in metrics] for name, metrics in every.items()}, run


def read_wandb(folder):
    """{name: [(step, value)]}, the summary and the configuration of the only offline run."""
    deadline = time.monotonic() + 20
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    records = []
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline, "its own process writes the last records a moment after finish()"
        time.sleep(0.05)
        records = wandb_records(path.read_bytes())
    history, final, config = {}, {}, {}

    def read(items):
        return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}

    for record in records:
        values = read(record.history.item)
        for name, value in values.items():
            history.setdefault(name, []).append((values["_step"], value))
        final |= read(record.summary.update)
        config |= read(record.run.config.update)
    return history, final, config


def wandb_records(raw):
    """The messages of a .wandb file, which is a log as LevelDB keeps it: blocks of 32 KiB, messages in parts."""
    from wandb.proto.wandb_internal_pb2 import Record

    found, at, message = [], 7, b""
    while at + 7 <= len(raw):
        if (left := 32768 - at % 32768) < 7:  # the rest of a block is padding
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", raw[at : at + 7])
        message += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            found, message = [*found, Record.FromString(message)], b""
    return found


def jsonl(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def expected(history, name):
    return [(record["epoch"], pytest.approx(dict(scalars(record))[name], rel=1e-6)) for record in history]


@needs("tensorboard")
def test_tensorboard_holds_what_the_jsonl_holds_and_the_test_metrics(tmp_path):
    succeed(*TRAINED, "logger=tensorboard", "hydra.run.dir=run", cwd=tmp_path)
    found, history = read_tensorboard(tmp_path / "run" / "tensorboard"), jsonl(tmp_path / "run")
    for name in ("loss", "validation/NDCG_at_10", "validation/HR_at_10/short"):
        assert found[name] == expected(history, name)
    final = results(tmp_path / "run")
    assert found["test/overall/HR_at_10"] == [(final["best_epoch"], pytest.approx(final["test_metrics"]["HR@10"]))]


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")  # of the package, for itself, when it is read
def test_mlflow_holds_what_the_jsonl_holds_and_the_test_metrics(tmp_path):
    succeed(*TRAINED, "logger=mlflow", "name=base", "hydra.run.dir=run", cwd=tmp_path)
    found, run = read_mlflow(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    history, final = jsonl(tmp_path / "run"), results(tmp_path / "run")
    for name in ("loss", "validation/NDCG_at_10"):
        assert found[name] == expected(history, name)
    assert found["test/long/count"] == [(final["best_epoch"], final["grouped_metrics"]["long"]["count"])]
    assert run.info.status == "FINISHED" and run.info.run_name == "base"
    assert run.data.params["fusion.alpha"] == "0.5" and run.data.params["model"] == "hybrid"


@needs("wandb")
def test_wandb_holds_what_the_jsonl_holds_and_the_test_metrics(tmp_path):
    succeed(*TRAINED, "logger=wandb", "hydra.run.dir=run", cwd=tmp_path)
    found, final, config = read_wandb(tmp_path / "run")
    history, whole = jsonl(tmp_path / "run"), results(tmp_path / "run")
    for name in ("loss", "validation/NDCG_at_10"):
        assert found[name] == expected(history, name)
    assert final["test/overall/HR_at_10"] == pytest.approx(whole["test_metrics"]["HR@10"])
    assert config["fusion.alpha"] == 0.5 and config["model"] == "hybrid"


MADE = {
    "tensorboard": lambda folder: TensorBoard(folder, SETTINGS),
    "mlflow": lambda folder: MLflow(folder, SETTINGS, "base", uri=f"sqlite:///{folder}/mlflow.db"),
    "wandb": lambda folder: WandB(folder, SETTINGS, "base"),
}
READ = {
    "tensorboard": lambda folder: read_tensorboard(folder / "tensorboard"),
    "mlflow": lambda folder: read_mlflow(f"sqlite:///{folder}/mlflow.db")[0],
    "wandb": lambda folder: read_wandb(folder)[0],
}


@pytest.mark.filterwarnings("ignore")  # of the packages, for themselves
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in MADE])
def test_a_run_that_is_taken_up_again_has_every_epoch_once(name, tmp_path):
    killed = MADE[name](tmp_path)
    killed.epochs(HISTORY[:1])
    killed.epochs(HISTORY[:2])
    killed.close()
    resumed = MADE[name](tmp_path)
    resumed.epochs(HISTORY[:2])
    resumed.epochs(HISTORY)
    resumed.close()
    assert READ[name](tmp_path)["validation/NDCG_at_10"] == expected(HISTORY, "validation/NDCG_at_10")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in MADE])
def test_a_logger_that_was_told_nothing_writes_nothing(name, tmp_path):
    MADE[name](tmp_path).close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", list(MADE))
def test_a_missing_package_is_said_before_anything_is_done_with_what_installs_it(name, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *more: None if n == name else find_spec(n, *more))
    message = fail(*TRAINED, f"logger={name}", "hydra.run.dir=run", cwd=tmp_path)
    assert f"logger={name} needs the package {name}" in message
    assert f"pip install 'hybrid_seq_gnn[{name}]'" in message
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@needs("tensorboard")
def test_the_logger_is_no_part_of_a_run(tmp_path):
    succeed(*TRAINED, "hydra.run.dir=run", cwd=tmp_path)
    assert "finished already" in succeed(*TRAINED, "logger=tensorboard", "hydra.run.dir=run", cwd=tmp_path).stdout
    succeed(*TRAINED, "logger=tensorboard", "hydra.run.dir=other", cwd=tmp_path)
    for key in ("identity", "grouped_metrics", "best_val_metric"):
        assert results(tmp_path / "run")[key] == results(tmp_path / "other")[key]


@needs("tensorboard")
def test_a_sweep_goes_on_with_another_logger(tmp_path):
    line = [*TRAINED, "training.epochs=1", "fusion.alpha=0.3,0.5", "-m", "hydra.sweep.dir=sweep"]
    succeed(*line, cwd=tmp_path)
    done = succeed(*line, "logger=tensorboard", cwd=tmp_path)
    assert "2 done" in done.stdout
    board = (tmp_path / "sweep" / "leaderboard.csv").read_text()
    assert "logger" not in board


@needs("tensorboard")
def test_a_logger_that_fails_is_said_once_and_the_run_goes_on(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").write_text("a file where a folder should be")
    done = succeed(*TRAINED, "logger=tensorboard", "hydra.run.dir=run", cwd=tmp_path)
    assert done.stdout.count("TensorBoard failed and is switched off") == 1
    assert results(tmp_path / "run")["best_epoch"] >= 1


def test_an_interrupt_in_a_logger_is_an_interrupt():
    class Interrupted:
        def epochs(self, history):
            raise KeyboardInterrupt

        def finish(self, results): ...

        def close(self): ...

    with pytest.raises(KeyboardInterrupt):
        SafeLogger(Interrupted()).epochs([])


def test_names_and_summary_hold_every_number_and_no_gap():
    groups = {"overall": {"HR@10": 0.5, "count": 4}, "long": {"HR@10": None, "count": 0}}
    record = {
        "grouped_metrics": groups,
        "best_epoch": 2,
        "parameters": 9,
        "best_val_metric": 0.1,
        "seconds": {"total": 3},
    }
    assert summary(record) == {
        "test/overall/HR_at_10": 0.5,
        "test/overall/count": 4,
        "test/long/count": 0,
        "best_epoch": 2,
        "parameters": 9,
        "best_validation_NDCG_at_10": 0.1,
        "seconds/total": 3,
    }
