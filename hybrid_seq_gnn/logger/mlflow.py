"""MLflow: runs of an experiment in a SQLite file, or wherever a tracking URI leads."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.logger.protocol import Record, require, scalars, summary


class MLflow:
    """Settings as parameters, metrics an epoch, then the test metrics at the best epoch.

    A run that is taken up again goes on as the same run of MLflow, whose id is kept in mlflow_run_id of the run folder.

    Args:
        uri: MLflow's tracking URI; `mlflow ui --backend-store-uri URI` shows it.
        experiment: its name there.
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
        self.told = 0
        self.finished = False

    def epochs(self, history: list[Record]) -> None:
        if self.client is None:
            self._open()
        for record in history:
            if record["epoch"] >= self.told:
                self._log(dict(scalars(record)), record["epoch"])
        self.told = history[-1]["epoch"] + 1 if history else self.told

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
        kept = self.folder / "mlflow_run_id"
        if kept.exists():
            self.run_id = kept.read_text().strip()
            steps = [metric.step for metric in client.get_metric_history(self.run_id, "seconds")]
            self.told = max(steps, default=-1) + 1
            client.set_terminated(self.run_id, "RUNNING")
        else:
            found = client.get_experiment_by_name(self.experiment)
            experiment = found.experiment_id if found else client.create_experiment(self.experiment)
            tags = {"folder": str(self.folder)}
            self.run_id = client.create_run(experiment, run_name=self.name, tags=tags).info.run_id
            kept.write_text(self.run_id)
            params = [Param(key, str(value)[:500]) for key, value in self.settings.items()]
            for start in range(0, len(params), 100):  # MLflow takes no more at a time
                client.log_batch(self.run_id, params=params[start : start + 100])
        self.client = client

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])
