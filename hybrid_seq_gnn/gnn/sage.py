"""GraphSAGE: the mean of the neighbours in the item graph.

Source: Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs" (arXiv:1706.02216); SAGEConv of
torch-geometric, all neighbours, no sampling.
"""

from hybrid_seq_gnn.gnn.convolutions import Convolutions


class SAGE(Convolutions):
    """`num_layers` layers of SAGEConv with mean aggregation, see `Convolutions`."""

    kind = "SAGEConv"
