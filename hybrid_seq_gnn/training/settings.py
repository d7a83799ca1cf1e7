"""How a model is trained: one field a knob, checked at the door."""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from hybrid_seq_gnn.limits import AtLeast0, AtLeast1, Limited, NotNegative, Positive, Share
from hybrid_seq_gnn.training import distributed


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Limited):
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

    epochs: AtLeast1 = 100
    patience: AtLeast0 = 10
    batch_size: AtLeast1 = 64
    lr: Positive = 1e-3
    weight_decay: NotNegative = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: NotNegative = 0.0
    clip_norm: Positive | None = None
    ema: Share = 0.0
    amp: Literal["off", "bf16"] = "off"
    compile: bool = False
    train_users: AtLeast1 | None = None
    valid_users: AtLeast1 | None = None
    eval_every: AtLeast1 = 1
    device: str = "auto"
    threads: AtLeast1 = 1
    resume: bool = True

    def __post_init__(self) -> None:
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
