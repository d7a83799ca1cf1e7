"""The command `evaluate`: a trained run on other data."""
