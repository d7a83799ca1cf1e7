"""`python -m hybrid_seq_gnn`."""

from hybrid_seq_gnn.app.cli import main

if __name__ == "__main__":
    main()
