"""GAT: attention over neighbours in the item graph.

Source: Velickovic et al. 2018, "Graph Attention Networks" (arXiv:1710.10903); GATConv of torch-geometric.
"""

from hybrid_seq_gnn.gnn.convolutions import Attention


class GAT(Attention):
    """`num_layers` layers of GATConv, see `Attention`."""

    kind = "GATConv"
