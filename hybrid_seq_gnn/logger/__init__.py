"""Who else is told how a run goes; metrics.jsonl and results.json are written whatever is chosen here."""
