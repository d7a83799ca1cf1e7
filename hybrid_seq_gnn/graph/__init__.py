"""The item graph, built from training events only, and sparse products with it."""
