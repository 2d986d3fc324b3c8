"""Gluon's update rules for PyTorch tensors.

PyTorch's own differ. Its momentum keeps the gradients apart from the learning rate, which matters
once the rate changes, and its Adam adds epsilon after the correction of the variance.
"""

import math
from typing import Dict, List, Protocol, Sequence, Tuple, Union

import torch
from torch import Tensor

from nin_gluon.settings import Settings

__all__ = ["SGD", "Adam", "Optimizer", "optimizer_of"]

Rate = Union[float, Tensor]  # a tensor has no dimensions, and is on the parameters' device


class Optimizer(Protocol):
    """An update rule.

    Attributes
    ----------
    name : str
    kinds : tuple of str
        Of the arrays that it keeps for each parameter, by the names of the checkpoints.
    state : dict
        Kind -> a tensor for each parameter.
    updates : int
        How many have been made.
    """

    name: str
    kinds: Tuple[str, ...]
    state: Dict[str, List[Tensor]]
    updates: int

    def next_rate(self, lr: float) -> float:
        """Count an update, and return what `update` takes of its learning rate."""

    def update(self, gradients: List[Tensor], rate: Rate) -> None:
        """Update the parameters. Nothing is done on the host, so this can be recorded."""


class SGD:
    """v <- momentum v - lr (g + wd w), w <- w + v."""

    name = "sgd"

    def __init__(self, parameters: List[Tensor], momentum: float = 0.0, wd: float = 0.0) -> None:
        self.parameters, self.momentum, self.wd, self.updates = parameters, momentum, wd, 0
        self.kinds: Tuple[str, ...] = ("momentum",) if momentum else ()
        self.state = zeros(parameters, self.kinds)

    def next_rate(self, lr: float) -> float:
        self.updates += 1
        return lr

    @torch.no_grad()
    def update(self, gradients: List[Tensor], rate: Rate) -> None:
        gradients = decayed(gradients, self.parameters, self.wd)
        if self.momentum:
            velocities = self.state["momentum"]
            torch._foreach_mul_(velocities, self.momentum)
            subtract(velocities, gradients, rate)
            torch._foreach_add_(self.parameters, velocities)
        else:
            subtract(self.parameters, gradients, rate)


class Adam:
    """Adam (Kingma and Ba, 2015) in the form of its section 2's last paragraph.

    The corrections of both moments are in the learning rate, and epsilon is added to the square
    root of the uncorrected variance. Weight decay is added to the gradient.
    """

    name = "adam"
    kinds: Tuple[str, ...] = ("mean", "variance")
    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: List[Tensor], wd: float = 0.0) -> None:
        self.parameters, self.wd, self.updates = parameters, wd, 0
        self.state = zeros(parameters, self.kinds)

    def next_rate(self, lr: float) -> float:
        self.updates += 1
        return lr * (math.sqrt(1 - self.BETA2**self.updates) / (1 - self.BETA1**self.updates))

    @torch.no_grad()
    def update(self, gradients: List[Tensor], rate: Rate) -> None:
        gradients = decayed(gradients, self.parameters, self.wd)
        mean, variance = self.state["mean"], self.state["variance"]
        torch._foreach_mul_(mean, self.BETA1)
        torch._foreach_add_(mean, gradients, alpha=1 - self.BETA1)
        torch._foreach_mul_(variance, self.BETA2)
        torch._foreach_addcmul_(variance, gradients, gradients, value=1 - self.BETA2)
        scale = torch._foreach_sqrt(variance)
        torch._foreach_add_(scale, self.EPSILON)
        if isinstance(rate, Tensor):
            subtract(self.parameters, list(torch._foreach_div(mean, scale)), rate)
        else:
            torch._foreach_addcdiv_(self.parameters, mean, scale, value=-rate)


def optimizer_of(settings: Settings, parameters: List[Tensor]) -> Optimizer:
    """The optimizer that the settings ask for."""
    if settings.optimizer == "adam":
        return Adam(parameters, settings.wd)
    return SGD(parameters, settings.momentum, settings.wd)


def decayed(gradients: List[Tensor], parameters: List[Tensor], wd: float) -> List[Tensor]:
    """The gradients with weight decay."""
    return list(torch._foreach_add(gradients, parameters, alpha=wd)) if wd else gradients


def subtract(tensors: List[Tensor], values: List[Tensor], rate: Rate) -> None:
    """tensors <- tensors - rate values."""
    if isinstance(rate, Tensor):
        torch._foreach_sub_(tensors, torch._foreach_mul(values, rate))
    else:
        torch._foreach_add_(tensors, values, alpha=-rate)


def zeros(parameters: List[Tensor], kinds: Sequence[str]) -> Dict[str, List[Tensor]]:
    """A tensor of zeros of each kind for each parameter."""
    return {kind: [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]
            for kind in kinds}
