"""Experiment loggers, in addition to metrics.jsonl and results.json, which every run writes."""
