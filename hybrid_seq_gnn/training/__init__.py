"""The training loop, its settings, its checkpoints and the training strategies."""
