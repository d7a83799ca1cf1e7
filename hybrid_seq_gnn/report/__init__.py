"""One page about finished runs: the answer, the figures and tables it stands on, and how to do it again."""
