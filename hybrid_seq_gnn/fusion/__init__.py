"""Fusions: how the sequence view and the graph view of an item are mixed, with alpha on the sequence side."""
