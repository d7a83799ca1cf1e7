"""From the command line to objects; the only package that knows Hydra and OmegaConf."""
