"""How PyTorch runs a step: as it is written, compiled, or replayed as one CUDA graph.

The step is the same function in each case. Launching its two hundred kernels one by one takes the
processor longer than a current GPU takes to run them. A CUDA graph launches them at once.

Source of the recipe for recording: "CUDA Graphs" in PyTorch's notes on CUDA semantics.
"""

import contextlib
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from nin_gluon.errors import InputError

__all__ = ["Replay", "choose_mode"]

WARM_UPS = 3  # steps before a recording, in which libraries set themselves up

Input = Union[Tensor, float]


def choose_mode(mode: str, device: torch.device, workers: int) -> str:
    """How a run's steps are taken.

    Parameters
    ----------
    mode : str
        One of `nin_gluon.settings.MODES`, as --mode was given.
    device : torch.device
    workers : int
        Processes that train the net together.

    Returns
    -------
    {"eager", "graph", "compile"}
        ``auto`` is graph for a single process on a GPU, else eager.

    Raises
    ------
    InputError
        The device or the job cannot do what was asked for.
    """
    if mode == "auto":
        return "graph" if device.type == "cuda" and workers == 1 else "eager"
    if mode != "eager" and workers > 1:
        raise InputError(f"--mode {mode} is for a run of one process; several take eager steps.")
    if mode == "graph" and device.type != "cuda":
        raise InputError("--mode graph is for GPUs; on a CPU use eager or compile.")
    return mode


class Recording(NamedTuple):
    """A recorded step."""

    places: List[Tensor]  # the inputs that it reads
    replay: Callable[[], None]
    result: Tensor  # which it writes
    gradients: List[Optional[Tensor]]  # which it leaves in each of what it changes


class Replay:
    """A step as a CUDA graph: recorded once for each shape of its first input, then replayed.

    Parameters
    ----------
    step : callable
        Tensors and numbers on the device -> a tensor. It must not wait for the device.
    device : torch.device
        A GPU.
    changes : sequence of Tensor
        What the step changes in place. Recording leaves it as it was. The gradients that the step
        leaves in them are those of the step that was replayed last.
    """

    def __init__(self, step: Callable[..., Tensor], device: torch.device,
                 changes: Sequence[Tensor] = ()) -> None:
        self.step, self.device, self.changes = step, device, changes
        self.recorded: Dict[torch.Size, Recording] = {}  # by the shape of X

    def __call__(self, X: Tensor, *more: Input) -> Tensor:
        """What the step returns for these inputs, without waiting. Numbers become float32."""
        if X.shape not in self.recorded:
            self.recorded[X.shape] = self.record((X, *more))
        recording = self.recorded[X.shape]
        for place, value in zip(recording.places, (X, *more)):
            if isinstance(value, Tensor):
                place.copy_(value)
            else:
                place.fill_(value)
        recording.replay()
        for tensor, gradient in zip(self.changes, recording.gradients):
            tensor.grad = gradient
        return recording.result.clone()

    def record(self, inputs: Sequence[Input]) -> "Recording":
        """Record the step. Uses up no random numbers."""
        places = [value.clone() if isinstance(value, Tensor)
                  else torch.tensor(value, dtype=torch.float32, device=self.device)
                  for value in inputs]
        with self.without_a_trace():
            replay, result = capture(lambda: self.step(*places), self.device)
        return Recording(places, replay, result, [tensor.grad for tensor in self.changes])

    @contextlib.contextmanager
    def without_a_trace(self) -> Iterator[None]:
        """After the block, random numbers and what the step changes are as they were."""
        before = [tensor.detach().clone() for tensor in self.changes]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            yield
        with torch.no_grad():
            for tensor, value in zip(self.changes, before):
                tensor.copy_(value)


def capture(call: Callable[[], Tensor], device: torch.device) -> Tuple[Callable[[], None], Tensor]:
    """Record a call as a CUDA graph; return what replays it, and the result that it writes."""
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = call()
    return graph.replay, result
