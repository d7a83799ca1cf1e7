"""The Python interface: `from hybrid_seq_gnn import load_run, load_study, train`."""
