"""Training losses, averaged over all positions that have a next item."""
