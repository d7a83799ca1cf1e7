"""Fusions: ways to mix the sequence view and the graph view of an item; alpha weighs the sequence side."""
