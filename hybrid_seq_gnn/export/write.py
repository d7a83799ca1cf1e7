"""A module as a `.pt2` or `.onnx` file, and the way to run the file."""

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.export.models import Best

Runner = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
INPUTS, OUTPUTS = ("history", "seen", "length"), ("items", "scores")
OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MOST_BYTES = (1 << 31) - (1 << 20)  # of an ONNX file, which is one protocol buffer


def require_packages() -> None:
    """Raise UserError if a package that ONNX needs is not installed."""
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"--out with .onnx needs the package {package}, which is not installed: pip install "
                "'hybrid_seq_gnn[export]'. A .pt2 file needs no other package."
            )


@contextmanager
def quiet() -> Iterator[None]:
    """The exporters warn of their own parts."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnx_ir")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def traced(module: Best, longest: int) -> ExportedProgram:
    """The graph of a module.

    Args:
        longest: history, in events.
    """
    events = min(longest, 4)  # of an example; one of a single event would fix the length
    example = (torch.ones(1, events, dtype=torch.int64), torch.ones(1, 2, dtype=torch.int64), torch.tensor([events]))
    size = {} if longest == 1 else {1: Dim("events", min=1, max=longest)}
    with quiet(), torch.no_grad():
        program = torch.export.export(
            module, example, dynamic_shapes=(size, {1: Dim("seen", min=1)}, None), strict=False
        )
    for graph in program.graph_module.modules():
        for node in graph.graph.nodes if isinstance(graph, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # names files of this machine
    return program


def write(program: ExportedProgram, path: Path, ending: str) -> None:
    """Write a graph as `.onnx` or `.pt2`.

    Raises:
        UserError: an ONNX file cannot be that large.
    """
    with quiet(), torch.no_grad():
        if ending == ".pt2":
            with path.open("wb") as file:
                torch.export.save(program, file)
            return
        size = sum(tensor.nbytes for tensor in program.state_dict.values())
        if size > MOST_BYTES:
            raise UserError(f"the model has {size:,} bytes, and an ONNX file at most 2 GiB: use --out with .pt2.")
        onnx = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, verbose=False, input_names=INPUTS, output_names=OUTPUTS
        )
        assert onnx is not None
        onnx.save(path, external_data=False)


def runner(path: Path, ending: str) -> Runner:
    """Run a file as a server would."""
    if ending == ".pt2":
        with quiet(), path.open("rb") as file:
            module = torch.export.load(file).module()

        def run(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with torch.no_grad():
                items, scores = module(*map(torch.from_numpy, inputs))
            return items.numpy(), scores.numpy()

        return run
    from onnxruntime import InferenceSession  # imported here because .pt2 does not need it

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda *inputs: tuple(session.run(OUTPUTS, dict(zip(INPUTS, inputs, strict=True))))
