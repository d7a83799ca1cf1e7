"""Hydra's door to our sweeps. Hydra finds plugins only in the namespace `hydra_plugins`."""
