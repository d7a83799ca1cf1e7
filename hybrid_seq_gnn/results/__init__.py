"""Finished runs, read back: configurations, labels and tables, and what the commands on runs share."""
