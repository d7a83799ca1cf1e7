"""GATv2: attention over neighbours in the item graph.

Source: Brody et al. 2022, "How Attentive are Graph Attention Networks?" (arXiv:2105.14491); GATv2Conv of
torch-geometric.
"""

from hybrid_seq_gnn.gnn.convolutions import Attention


class GATv2(Attention):
    """`num_layers` layers of GATv2Conv, see `Attention`."""

    kind = "GATv2Conv"
