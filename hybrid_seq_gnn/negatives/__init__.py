"""Samplers of items that the user did not choose; each returns ids and the log of their probability."""
