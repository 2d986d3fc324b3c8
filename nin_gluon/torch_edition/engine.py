"""The PyTorch engine with the conventions of the book's PyTorch edition in place of Gluon's."""

import base64
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nin_gluon.torch_edition.data import BatchLoader
from nin_gluon.training.engine import OptimizerArrays
from nin_gluon.training.torch_engine import TorchEngine
from nin_gluon.training.torch_optimizers import SGD

__all__ = ["EditionEngine", "check_random"]

CUDA_STATE = (16,)  # the shape of a GPU's random state


class EditionEngine(TorchEngine):
    """`TorchEngine` as that edition trains. Two things differ.

    The loss of a step is the mean over the images of its batch, for the last, smaller batch too.
    And one stream of PyTorch's random numbers gives the initial parameters, the order of every
    epoch and all dropout masks, so checkpoints keep its states.

    Parameters
    ----------
    net : nn.Module
        On `device`. X (batch, channels, height, width) float32 -> scores (batch, classes).
    device : torch.device
    lr : float
        Learning rate of SGD without momentum.
    dtype : {"float32", "bfloat16"}
    mode : {"eager", "graph", "compile"}
    train_iter : BatchLoader, optional
        Draws the order of the images, in a run that has checkpoints.
    """

    def __init__(self, net: nn.Module, device: torch.device, lr: float = 0.0,
                 dtype: str = "float32", mode: str = "eager",
                 train_iter: Optional[BatchLoader] = None) -> None:
        super().__init__(net, device, SGD(list(net.parameters())), lambda update: lr, batch_size=1,
                         dtype=dtype, mode=mode)
        self.devices = [str(device)]  # as that edition prints it
        self.train_iter = train_iter

    def losses(self, y_hat: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
        l = F.cross_entropy(y_hat.float(), y)
        return l, l.double() * len(y)

    # -------------------------------------------------------------- random numbers

    def seed_step(self, seed: int, epoch: int, step: int, rank: int = 0) -> None:
        """Nothing: the stream goes on."""

    def random_states(self) -> Dict[str, Tensor]:
        """The states of the stream: ``now``, ``cuda`` on a GPU, and ``order``, from before the
        order of the present epoch was drawn.
        """
        states = {"now": torch.get_rng_state()}
        order = self.train_iter.order_state if self.train_iter else None
        states["order"] = states["now"] if order is None else order
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def put_random_states(self, states: Dict[str, Tensor]) -> None:
        """Let the stream go on from what `random_states` gave; it has been checked."""
        torch.set_rng_state(states["now"])
        if self.train_iter:
            self.train_iter.order_state = states["order"]
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device)

    # -------------------------------------------------------------- files

    def optimizer_state(self) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        arrays, numbers = super().optimizer_state()
        random = {name: packed(state) for name, state in self.random_states().items()}
        return arrays, {**numbers, "random": random}

    def put_optimizer_state(self, arrays: OptimizerArrays, numbers: Dict[str, Any]) -> None:
        super().put_optimizer_state(arrays, numbers)
        self.put_random_states({name: unpacked(text) for name, text in numbers["random"].items()})

    def read_optimizer_state(self, folder: Path, state: Dict[str, Any],
                             ) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        numbers = dict(state["optimizer"]) if isinstance(state.get("optimizer"), dict) else {}
        random = numbers.pop("random", None)
        if not isinstance(random, dict) or not all(isinstance(text, str)
                                                   for text in random.values()):
            raise ValueError("it lacks random states")
        check_random({name: unpacked(text) for name, text in random.items()})
        arrays, numbers = super().read_optimizer_state(folder, {**state, "optimizer": numbers})
        return arrays, {**numbers, "random": random}


def check_random(states: Dict[str, Tensor]) -> None:
    """Raise ValueError unless PyTorch takes these as its random states."""
    if not {"now", "order"} <= set(states) <= {"now", "order", "cuda"}:
        raise ValueError("it lacks random states, or has others than PyTorch's")
    now = torch.get_rng_state()
    for name in ("now", "order"):
        if (states[name].dtype, states[name].shape) != (now.dtype, now.shape):
            raise ValueError(f"{name} is no random state of PyTorch")
        try:
            torch.Generator().set_state(states[name])
        except RuntimeError as error:
            raise ValueError(f"{name} is no random state of PyTorch: {error}") from None
    cuda = states.get("cuda")
    if cuda is not None and (cuda.dtype, tuple(cuda.shape)) != (torch.uint8, CUDA_STATE):
        raise ValueError("cuda is no random state of a GPU")


def packed(state: Tensor) -> str:
    """A tensor of bytes as text for JSON."""
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def unpacked(text: str) -> Tensor:
    """The tensor that `packed` took; ValueError if it was none."""
    content = bytearray(base64.b64decode(text, validate=True))
    return torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0)
