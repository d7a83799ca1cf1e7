"""Samplers of items that the user has not seen; each returns item ids and their log-probabilities."""
