"""Fields of results.json that commands read, with their types. Other fields are not checked.

What is not required may be missing or null.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from annotated_types import Interval

ByGroup = Literal["overall", "short", "medium", "long"]
Number = Annotated[float, Interval(ge=-1e15, le=1e15)]  # larger ones overflow in a deviation over seeds
Metric = int | Number | None  # None where there are no users
Name = Literal["count", "HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20", "MRR@5", "MRR@10", "MRR@20"]
Node = dict[str, Any]


class Config(TypedDict, total=False):
    """The configuration; a group that is not in use is None."""

    seed: int
    name: str
    data: Node
    graph: Node
    gnn: Node
    fusion: Node
    model: Node
    negatives: Node
    loss: Node
    training: Node
    evaluation: Node


class Data(TypedDict):
    """The card of the data."""

    split_hash: str
    users: int
    items: int
    events: int
    filters: NotRequired[list[str]]


class Difference(TypedDict):
    """A hybrid against its encoder alone, in one group."""

    users: int
    baseline: Metric
    hybrid: Metric
    difference: Metric
    relative: Metric
    low: Metric
    high: Metric
    p_holm: Metric


class Baseline(TypedDict):
    """The comparison with the encoder alone."""

    folder: str
    model: str
    metrics: dict[Literal["NDCG@10"], dict[ByGroup, Difference]]


class Curve(TypedDict):
    """Alpha at some lengths of the history."""

    length: list[int]
    alpha: list[Number]


class Results(TypedDict):
    """results.json."""

    schema_version: Literal[1]
    seed: int
    options: dict[str, str]
    config: Config
    data: Data
    grouped_metrics: dict[ByGroup, dict[Name, Metric]]
    validation_grouped_metrics: dict[ByGroup, dict[Literal["NDCG@10"], Metric]]
    best_val_metric: Number
    best_epoch: int
    seconds: dict[Literal["total"], Number]
    identity: NotRequired[str]
    overrides: NotRequired[list[str]]
    command: NotRequired[str]
    baseline: NotRequired[Baseline]
    alpha_stats: NotRequired[dict[ByGroup, dict[Literal["mean"], Metric]]]
    alpha_curve: NotRequired[Curve]
    graph: NotRequired[Node]
    sha256: NotRequired[dict[str, str]]
    parameters: NotRequired[int]
    peak_memory_mib: NotRequired[Number]
    device: NotRequired[str]
    threads: NotRequired[int]
    versions: NotRequired[dict[str, str | None]]
    git: NotRequired[Node]
