"""No logger: only metrics.jsonl and results.json are written."""

from hybrid_seq_gnn.logger.protocol import Record


class NoLogger:
    """A logger that does nothing."""

    def epochs(self, history: list[Record]) -> None:
        pass

    def finish(self, results: Record) -> None:
        pass

    def close(self) -> None:
        pass
