"""How a model is trained: one field a knob, checked at the door."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of the training loop.

    Attributes:
        epochs: most passes over the training part.
        patience: epochs without a better validation NDCG@10 after which training stops; 0 never stops early.
        batch_size: histories a step.
        lr: learning rate of AdamW.
        weight_decay: decoupled weight decay of AdamW.
        eval_every: epochs between validations; the last epoch is always validated.
        device: auto (CUDA where there is one), cpu, cuda or cuda:0, cuda:1, ...
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
        for name in ("weight_decay", "patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"training.{name}={getattr(self, name)}: must be 0 or more.")
        if 0 < self.patience < self.eval_every:
            raise ValueError(
                f"training.patience={self.patience} is shorter than training.eval_every={self.eval_every}, so training "
                "would stop before a second validation; raise the one or lower the other."
            )
        self.torch_device()

    def torch_device(self) -> torch.device:
        """The device that `device` names."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError:
            device = torch.device("meta")
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"training.device={self.device}: expected auto, cpu, cuda or cuda:N.")
        count = torch.cuda.device_count()
        if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= count):
            found = f"{count} CUDA device(s)" if count and torch.cuda.is_available() else "no CUDA device"
            raise ValueError(f"training.device={self.device}: PyTorch finds {found} here; use auto or cpu.")
        return device
