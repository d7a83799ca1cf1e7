"""Settings of the training loop, checked when they are created."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Interval

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.limits import AtLeast0, AtLeast1, Limited, NotNegative, Positive, Share
from hybrid_seq_gnn.training import distributed

ValidUsers = AtLeast1 | Literal["auto"] | None


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Limited):
    """How a model is trained.

    Attributes:
        epochs: maximum number of passes over the training part.
        patience: stop after this many epochs without a better validation NDCG@10; 0 never stops early.
        batch_size: histories per step, over all processes.
        lr: peak learning rate of AdamW.
        schedule: `constant`, or `cosine` decay from lr to 0 over `epochs`.
        warmup: epochs over which lr first rises from 0; may be a fraction.
        weight_decay: decoupled weight decay of AdamW.
        clip_norm: maximum norm of the gradient; null does not clip.
        ema: decay of a moving average of the weights, which is validated and tested instead; in [0, 1), 0 is off.
        amp: `bf16` computes products in bfloat16, on CPU and CUDA; results change slightly.
        train_users: use only this many users, the first ones, for a quick look; null means all.
        valid_users: the same for validations during training. `auto` is all, or a fixed random sample where ranking all
            of them would take longer than half an epoch with sampled negatives; the end of a run validates all.
        eval_every: epochs between validations; the last epoch is always validated.
        device: auto (CUDA if available), cpu, cuda or cuda:0, cuda:1, ...; under torchrun, auto and cuda give each
            process its own device.
        threads: CPU threads of PyTorch. Affects results: another number of threads rounds differently.
        resume: resume from the checkpoint in the run folder, if there is one.

    Raises:
        UserError: a value is out of range, or `device` is not available.
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
    train_users: AtLeast1 | None = None
    valid_users: ValidUsers = "auto"
    eval_every: AtLeast1 = 1
    device: str = "auto"
    threads: Annotated[int, Interval(ge=1, le=4096)] = 1
    resume: bool = True

    def __post_init__(self) -> None:
        if 0 < self.patience < self.eval_every:
            raise UserError(
                f"training.patience={self.patience} is shorter than training.eval_every={self.eval_every}, so training "
                "would stop before the second validation. Raise patience or lower eval_every."
            )
        if self.warmup > self.epochs:
            raise UserError(f"training.warmup={self.warmup:g} is longer than training.epochs={self.epochs}; lower it.")
        self.torch_device()

    def lr_at(self, epoch: float) -> float:
        """Learning rate after `epoch` epochs, which may be a fraction.

        e = epoch, w = warmup, E = epochs:

            warm-up, e < w:  lr * (e + 0.001) / (w + 0.001), so that the first step is not 0
            cosine:          lr * (1 + cos(pi * (e - w) / (E - w))) / 2
            constant:        lr
        """
        rate = self.lr
        if epoch < self.warmup:
            return rate * (epoch + 1e-3) / (self.warmup + 1e-3)
        if self.schedule == "cosine":
            progress = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
            rate *= (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        return rate

    def torch_device(self) -> torch.device:
        """The device that `device` names."""
        return device_of(self.device)


def device_of(given: str, setting: str = "training.device") -> torch.device:
    """The device of a name; under torchrun, auto and cuda give each process its own.

    Args:
        setting: that gives the name, for messages.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if given == "auto" else given
    if (processes := distributed.world_size()) > 1 and name.startswith("cuda"):
        if name != "cuda":
            raise UserError(f"{setting}={name}: {processes} processes need a device each; use auto or cuda.")
        name = f"cuda:{distributed.local_rank()}"
    elif given == "auto":
        return torch.device(name)
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"{setting}={given}: expected auto, cpu, cuda or cuda:N.")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= count):
        available = f"{count} CUDA device(s)" if count and torch.cuda.is_available() else "no CUDA device"
        raise UserError(f"{setting}={given}: PyTorch finds {available} here; use auto or cpu.")
    return device
