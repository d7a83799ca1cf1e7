"""How a model is trained: one field a knob, checked at the door."""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from hybrid_seq_gnn.training import distributed


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of the training loop.

    Attributes:
        epochs: most passes over the training part.
        patience: epochs without a better validation NDCG@10 after which training stops; 0 never stops early.
        batch_size: histories a step, over all processes.
        lr: learning rate of AdamW, at its highest.
        schedule: `constant`, or `cosine`: from lr down to 0 over `epochs`.
        warmup: epochs over which lr rises from 0 first; parts of an epoch count.
        weight_decay: decoupled weight decay of AdamW.
        clip_norm: largest norm of the gradient; null does not clip.
        ema: decay of a moving average of the weights, with which is validated and tested, in [0, 1); 0 is off.
        amp: `bf16` computes products in bfloat16, on CPU as on CUDA; numbers move a little.
        compile: compile the attention blocks with torch.compile, which needs a C++ compiler; only rounding differs.
        train_users, valid_users: first so many users for training and for validation, for a quick look; null is all.
        eval_every: epochs between validations; the last epoch is always validated.
        device: auto (CUDA where there is one), cpu, cuda or cuda:0, cuda:1, ...; under torchrun, auto and cuda give
            each process a device of its own.
        threads: CPU threads of PyTorch. Part of the result: another number of threads rounds differently.
        resume: continue from the checkpoint in the run folder, if there is one.

    Raises:
        ValueError: a value is out of range, or CUDA is asked for where there is none.
    """

    epochs: int = 100
    patience: int = 10
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.0
    clip_norm: float | None = None
    ema: float = 0.0
    amp: Literal["off", "bf16"] = "off"
    compile: bool = False
    train_users: int | None = None
    valid_users: int | None = None
    eval_every: int = 1
    device: str = "auto"
    threads: int = 1
    resume: bool = True

    def __post_init__(self) -> None:
        """Check every value in the words of the command line."""
        for name in ("epochs", "batch_size", "eval_every", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name}={getattr(self, name)}: must be 1 or more.")
        if self.lr <= 0:
            raise ValueError(f"training.lr={self.lr}: must be greater than 0.")
        for name in ("clip_norm", "train_users", "valid_users"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"training.{name}={value}: must be greater than 0, or null.")
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema={self.ema}: must lie in [0, 1).")
        for name in ("weight_decay", "patience", "warmup"):
            if getattr(self, name) < 0:
                raise ValueError(f"training.{name}={getattr(self, name)}: must be 0 or more.")
        if 0 < self.patience < self.eval_every:
            raise ValueError(
                f"training.patience={self.patience} is shorter than training.eval_every={self.eval_every}, so training "
                "would stop before a second validation; raise the one or lower the other."
            )
        self.torch_device()

    def lr_at(self, epoch: float) -> float:
        """Learning rate after so many epochs, parts of an epoch included."""
        rate = self.lr
        if epoch < self.warmup:
            return rate * (epoch + 1e-3) / (self.warmup + 1e-3)
        if self.schedule == "cosine":
            done = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
            rate *= (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return rate

    def torch_device(self) -> torch.device:
        """The device that `device` names."""
        name = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        if (processes := distributed.world_size()) > 1 and name.startswith("cuda"):
            if name != "cuda":
                raise ValueError(f"training.device={name}: {processes} processes need a device each; use auto or cuda.")
            name = f"cuda:{distributed.local_rank()}"
        elif self.device == "auto":
            return torch.device(name)
        try:
            device = torch.device(name)
        except RuntimeError:
            device = torch.device("meta")
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"training.device={self.device}: expected auto, cpu, cuda or cuda:N.")
        count = torch.cuda.device_count()
        if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= count):
            found = f"{count} CUDA device(s)" if count and torch.cuda.is_available() else "no CUDA device"
            raise ValueError(f"training.device={self.device}: PyTorch finds {found} here; use auto or cpu.")
        return device


@dataclass(frozen=True, kw_only=True)
class QuickSettings(TrainingSettings):
    """The plan's quick test: does it run and learn at all? A check list ends it, and the run fails with the list."""

    epochs: int = 5
    train_users: int | None = 1000
    valid_users: int | None = 200


@dataclass(frozen=True, kw_only=True)
class TwoStageSettings(TrainingSettings):
    """First the graph side alone, then the hybrid on top of it.

    Attributes:
        graph_epochs: most epochs of the first stage.
        graph_lr: learning rate of the first stage.
        freeze: the graph side is not trained in the second stage.
        graph_checkpoint: graph.pt of an earlier run, in the place of a first stage; null trains one.
    """

    graph_epochs: int = 10
    graph_lr: float = 1e-3
    freeze: bool = True
    graph_checkpoint: str | None = None

    def __post_init__(self) -> None:
        """Check every value in the words of the command line."""
        super().__post_init__()
        if self.graph_epochs < 1:
            raise ValueError(f"training.graph_epochs={self.graph_epochs}: must be 1 or more.")
        if self.graph_lr <= 0:
            raise ValueError(f"training.graph_lr={self.graph_lr}: must be greater than 0.")


@dataclass(frozen=True, kw_only=True)
class PostHocSettings(TrainingSettings):
    """The hybrid's encoder alone, exactly as that model trains alone; then only the fusion, on the validation split.

    Attributes:
        encoder_checkpoint: model.pt of an earlier run of the encoder alone (model=sasrec ...) or of an earlier
            training=post_hoc, in the place of the first stage; null trains one.
        select: how the fusion is fitted: by the `likelihood` of the validation targets, or by validation `ndcg`
            (NDCG@10; only for fusion=fixed and discrete, whose alphas are chosen from `alphas`). `auto` is ndcg for
            these two and likelihood for those that learn.
        alphas: what fusion=fixed and discrete choose from, each in [0, 1].
    """

    encoder_checkpoint: str | None = None
    select: Literal["auto", "ndcg", "likelihood"] = "auto"
    alphas: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    def __post_init__(self) -> None:
        """Check every value in the words of the command line."""
        super().__post_init__()
        if not self.alphas or not all(0 <= alpha <= 1 for alpha in self.alphas):
            raise ValueError(f"training.alphas={list(self.alphas)}: expected one or more weights in [0, 1].")
