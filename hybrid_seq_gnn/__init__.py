"""Does mixing a graph neural network into a sequential recommender help, for whom, and how much?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_seq_gnn.api.run import LoadedRun, load_run
    from hybrid_seq_gnn.api.study import LoadedStudy, load_study
    from hybrid_seq_gnn.api.train import train

__version__ = "0.1.0"
__all__ = ["LoadedRun", "LoadedStudy", "__version__", "load_run", "load_study", "train"]


def __getattr__(name: str) -> Any:
    """Import a name of the Python interface when it is first used: the commands do not need it."""
    from importlib import import_module

    places = {"load_run": "run", "LoadedRun": "run", "load_study": "study", "LoadedStudy": "study", "train": "train"}
    if name not in places:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"hybrid_seq_gnn.api.{places[name]}"), name)
