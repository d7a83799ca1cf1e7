"""Full ranking: ranks of the targets, metrics, length groups, alpha statistics."""
