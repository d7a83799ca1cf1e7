"""No logger: metrics.jsonl and results.json say it all."""

from hybrid_seq_gnn.logger.protocol import Record


class NoLogger:
    """Is told everything and keeps it to itself."""

    def epochs(self, history: list[Record]) -> None:
        """All records so far, after each epoch."""

    def finish(self, results: Record) -> None:
        """results.json of the finished run."""

    def close(self) -> None:
        """The run has ended, finished or not."""
