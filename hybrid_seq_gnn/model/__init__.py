"""Recommenders: histories in, scores over all items out."""
