"""Does mixing a graph neural network into a sequential recommender help, for whom, and how much?"""

__version__ = "0.1.0"
