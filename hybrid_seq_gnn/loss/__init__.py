"""Training losses over every position that has a next item."""
