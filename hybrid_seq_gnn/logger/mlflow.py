"""MLflow: log to a SQLite file, or to any other tracking URI."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.logger.protocol import Record, require, scalars, summary


class MLflow:
    """Log settings as parameters, metrics per epoch, and at the end the test metrics at the best epoch.

    A resumed run continues the same MLflow run; its id is stored in mlflow_run_id in the run folder.

    Args:
        uri: MLflow's tracking URI; `mlflow ui --backend-store-uri URI` shows it.
        experiment: name of the MLflow experiment.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        name: str,
        *,
        uri: str = "sqlite:///outputs/mlflow.db",
        experiment: str = "hybrid_seq_gnn",
    ) -> None:
        require("mlflow", "mlflow")
        self.folder, self.settings, self.name = folder, settings, name
        self.uri, self.experiment = uri, experiment
        self.client: Any = None
        self.run_id = ""
        self.next_epoch = 0
        self.finished = False

    def epochs(self, history: list[Record]) -> None:
        if self.client is None:
            self._open()
        for record in history:
            if record["epoch"] >= self.next_epoch:
                self._log(dict(scalars(record)), record["epoch"])
                self.next_epoch = record["epoch"] + 1

    def finish(self, results: Record) -> None:
        self._log(summary(results), results["best_epoch"])
        self.finished = True

    def close(self) -> None:
        if self.client is not None:
            self.client.set_terminated(self.run_id, "FINISHED" if self.finished else "KILLED")

    def _open(self) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(self.uri)
        id_file = self.folder / "mlflow_run_id"
        if id_file.exists():
            self.run_id = id_file.read_text().strip()
            steps = [metric.step for metric in client.get_metric_history(self.run_id, "seconds")]
            self.next_epoch = max(steps, default=-1) + 1
            client.set_terminated(self.run_id, "RUNNING")
        else:
            existing = client.get_experiment_by_name(self.experiment)
            experiment = existing.experiment_id if existing else client.create_experiment(self.experiment)
            tags = {"folder": str(self.folder)}
            self.run_id = client.create_run(experiment, run_name=self.name, tags=tags).info.run_id
            id_file.write_text(self.run_id)
            params = [Param(key, str(value)[:500]) for key, value in self.settings.items()]
            for start in range(0, len(params), 100):  # MLflow accepts at most 100 at a time
                client.log_batch(self.run_id, params=params[start : start + 100])
        self.client = client

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])
