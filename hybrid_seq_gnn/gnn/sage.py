"""GraphSAGE: the mean over neighbours in the item graph.

Source: Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs" (arXiv:1706.02216); SAGEConv of
torch-geometric, with all neighbours instead of a sample.
"""

from hybrid_seq_gnn.gnn.convolutions import Convolutions


class SAGE(Convolutions):
    """`num_layers` layers of SAGEConv with mean aggregation, see `Convolutions`."""

    kind = "SAGEConv"
