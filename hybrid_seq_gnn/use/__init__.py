"""Trained models in use: read a run back, score histories, take the best items, say why."""
