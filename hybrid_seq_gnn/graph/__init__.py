"""The item graph, built from the training part only, and sparse products with it."""
