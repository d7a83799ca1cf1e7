"""The Hydra half of a sweep: from overrides to a study, and workers that serve it."""
