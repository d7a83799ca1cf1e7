"""The command `recommend`: the best items for users, from a trained run."""
