"""What a sweep is, apart from Hydra and Optuna: its settings and its leaderboard's order."""
