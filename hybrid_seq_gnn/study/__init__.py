"""A sweep as an Optuna study: its settings, storage, queue, samplers and progress. Knows nothing of Hydra."""
