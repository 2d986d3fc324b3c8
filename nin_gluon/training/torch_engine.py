"""The engine of PyTorch: training and test steps, and what checkpoints keep."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple, Union

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from nin_gluon.array_files import Entry, read_safetensors, same, total
from nin_gluon.atomic_files import replacing
from nin_gluon.runtime.torch_precision import arithmetic
from nin_gluon.torch_models import nets
from nin_gluon.training.checkpoint.checks import (
    check_completeness,
    need,
    read_optimizer_arrays,
)
from nin_gluon.training.engine import OptimizerArrays, step_seed
from nin_gluon.training.run_folder import exported_models
from nin_gluon.training.torch_optimizers import Optimizer
from nin_gluon.training.torch_step import Replay

__all__ = ["TorchEngine", "as_it_is", "count_correct"]

Transform = Callable[[Tensor], Tensor]


def as_it_is(X: Tensor) -> Tensor:
    return X


class TorchEngine:
    """A PyTorch net with its optimizer; see `nin_gluon.training.engine.Engine`.

    Conventions are Gluon's: the loss is summed over the images and the gradient divided by the
    batch size, for the last, smaller batch too.

    Parameters
    ----------
    net : nn.Module
        On `device`, of known shapes. Images (batch, channels, height, width) -> scores (batch,
        classes).
    device : torch.device
    optimizer : Optimizer
    learning_rate : callable
        Number of an update, from 1 -> its learning rate.
    batch_size : int
        Of all workers together.
    dtype : {"float32", "bfloat16", "tf32"}
        Arithmetic of the convolutions. Parameters, loss and sums are float32 in any case. For TF32
        the caller calls `nin_gluon.runtime.torch_precision.use_dtype`.
    workers : int
        How many processes train this net together, each on its part of every batch; they have
        joined a process group of ``torch.distributed``.
    mode : {"eager", "graph", "compile"}
        How steps are run; see `nin_gluon.training.torch_step`. With ``compile`` the net goes
        through ``torch.compile``, and on a GPU the step is recorded, too.
    transforms : (callable, callable)
        What makes the net's images of the batches X, in training and in evaluation; it becomes part
        of the step. By default X are the images.
    """

    name = "torch"

    def __init__(self, net: nn.Module, device: torch.device, optimizer: Optimizer,
                 learning_rate: Callable[[int], float], batch_size: int,
                 dtype: str = "float32", workers: int = 1, mode: str = "eager",
                 transforms: Tuple[Transform, Transform] = (as_it_is, as_it_is)) -> None:
        self.net, self.device, self.optimizer, self.workers = net, device, optimizer, workers
        # Averages the gradients over the processes during the backward pass.
        self.model: nn.Module = DistributedDataParallel(net) if workers > 1 else net
        self.learning_rate, self.batch_size, self.dtype = learning_rate, batch_size, dtype
        self.mode, (self.train_transform, self.test_transform) = mode, transforms
        kind = "gpu" if device.type == "cuda" else "cpu"
        self.devices = [f"{kind}({device.index or 0})"]
        self.named = {f"{i:03d}.{name.rsplit('.', 1)[-1]}": parameter
                      for i, (name, parameter) in enumerate(net.named_parameters())}
        self.arrange_steps()

    def arrange_steps(self) -> None:
        """Put compiling and recording around the steps, as `mode` says."""
        self.train_scores = self.scores_of(self.model, self.train_transform)
        self.test_scores = self.scores_of(self.net, self.test_transform)
        self.run_train_step: Callable[..., Tensor] = self.update
        self.run_test_step: Callable[..., Tensor] = self.count
        if self.device.type == "cuda" and self.mode != "eager":
            state = [tensor for tensors in self.optimizer.state.values() for tensor in tensors]
            self.run_train_step = Replay(self.update, self.device, [*self.named.values(), *state])
            self.run_test_step = Replay(self.count, self.device)

    def scores_of(self, net: nn.Module, transform: Transform) -> Transform:
        """The function from a batch X to its scores (batch, classes)."""

        def scores(X: Tensor) -> Tensor:
            images = transform(X)  # in float32, whatever the convolutions compute in
            with arithmetic(self.dtype, self.device):
                y_hat: Tensor = net(images)
            return y_hat

        return torch.compile(scores, dynamic=False) if self.mode == "compile" else scores

    # -------------------------------------------------------------- steps

    def seed_step(self, seed: int, epoch: int, step: int, rank: int = 0) -> None:
        torch.manual_seed(step_seed(seed, epoch, step, rank))

    def train_step(self, X: Tensor, y: Tensor) -> Tensor:
        if not self.net.training:
            self.net.train()
        rate = self.optimizer.next_rate(self.learning_rate(self.optimizer.updates + 1))
        return self.run_train_step(X, y, rate)

    def update(self, X: Tensor, y: Tensor, rate: Union[float, Tensor]) -> Tensor:
        """Scores, loss, gradients, new parameters; all of it on the device."""
        self.net.zero_grad()
        y_hat = self.train_scores(X)
        objective, loss_sum = self.losses(y_hat, y)
        objective.backward()
        gradients = [p.grad for p in self.named.values() if p.grad is not None]
        self.optimizer.update(gradients, rate)
        loss_sum = loss_sum.detach().double()
        sums = torch.stack([loss_sum, count_correct(y_hat, y).double(),
                            torch.full_like(loss_sum, len(y))])
        if self.workers > 1:
            distributed.all_reduce(sums)
        return sums

    def losses(self, y_hat: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
        """What a step minimizes, and the sum of the cross-entropy over the images, in nats."""
        l = F.cross_entropy(y_hat.float(), y, reduction="sum")
        return l / (self.batch_size / self.workers), l

    def start_evaluation(self) -> Callable[[Tensor, Tensor], Tensor]:
        if self.net.training:
            self.net.eval()
        return self.run_test_step

    def count(self, X: Tensor, y: Tensor) -> Tensor:
        return count_by_class(self.scores(X), y)

    @torch.no_grad()
    def scores(self, X: Tensor) -> Tensor:
        """Scores (batch, classes) of the net in the mode that it is in."""
        return self.test_scores(X)

    def fetch(self, results: Sequence[Tensor]) -> np.ndarray:
        if not results:
            return np.empty((0, 1, 1))
        values: np.ndarray = torch.stack(list(results)).cpu().numpy()  # the only wait
        return values.reshape(len(results), 1, -1)

    def sum_over_workers(self, numbers: Sequence[int]) -> List[int]:
        sums = torch.tensor(list(numbers), device=self.device)
        if self.workers > 1:
            distributed.all_reduce(sums)
        return [int(total) for total in sums.tolist()]

    def parameters_are_finite(self) -> bool:
        with torch.no_grad():
            return bool(torch.stack([p.isfinite().all() for p in self.named.values()]).all())

    def predict(self, X: Tensor) -> np.ndarray:
        self.net.eval()
        return self.to_numpy(self.scores(X.to(self.device)).argmax(dim=1))

    def to_numpy(self, array: Tensor) -> np.ndarray:
        values: np.ndarray = array.detach().cpu().numpy()
        return values

    # -------------------------------------------------------------- for those who watch

    def last_learning_rate(self) -> float:
        return self.learning_rate(max(1, self.optimizer.updates))

    @torch.no_grad()
    def norms(self) -> Dict[str, Tuple[float, float]]:
        pairs = {name: torch.stack([p.norm(), p.grad.norm()]) for name, p in self.named.items()
                 if p.grad is not None}
        if not pairs:
            return {}
        values = torch.stack(list(pairs.values())).tolist()
        return {name: (value, gradient) for name, (value, gradient) in zip(pairs, values)}

    @torch.no_grad()
    def maps_and_scores(self, X: Tensor) -> Tuple[np.ndarray, np.ndarray]:
        self.net.eval()
        features, head = nets.maps_and_head(self.net)
        images = self.test_transform(X.to(self.device))
        with arithmetic(self.dtype, self.device):
            maps = features(images)
            scores = head(maps)
        return self.to_numpy(maps.float()), self.to_numpy(scores.float())

    def receptive_field(self) -> List[Tuple[float, int, int]]:
        return nets.receptive_field(nets.maps_and_head(self.net)[0])

    # -------------------------------------------------------------- files

    def parameters(self) -> Dict[str, np.ndarray]:
        # In C order: on the device the channels of a weight may come last in memory.
        return {name: np.array(self.to_numpy(p), order="C") for name, p in self.named.items()}

    def put_parameters(self, values: Dict[str, np.ndarray]) -> None:
        fill(list(self.named.values()), list(values.values()))

    def entries(self) -> Dict[str, Entry]:
        """What a file should say about each parameter."""
        return {name: Entry(name, tuple(p.shape), np.dtype(np.float32))
                for name, p in self.named.items()}

    def read_parameters(self, folder: Path) -> Dict[str, np.ndarray]:
        wanted = list(self.entries().values())
        found = read_safetensors(folder / "net.safetensors", total(wanted), same(wanted))
        return {entry.name: found[entry.name] for entry in wanted}

    def optimizer_state(self) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        updates, arrays = self.optimizer.updates, {}
        for kind, tensors in self.optimizer.state.items():
            for name, tensor in zip(self.named, tensors if updates else ()):
                arrays[name, kind] = np.array(self.to_numpy(tensor), order="C")
        return arrays, {"name": self.optimizer.name, "num_update": updates}

    def put_optimizer_state(self, arrays: OptimizerArrays, numbers: Dict[str, Any]) -> None:
        self.optimizer.updates = numbers["num_update"]
        for kind, tensors in self.optimizer.state.items():
            fill(tensors, [arrays[name, kind] if arrays else np.zeros(tensor.shape, np.float32)
                           for name, tensor in zip(self.named, tensors)])

    def read_optimizer_state(self, folder: Path, state: Dict[str, Any],
                             ) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        if state["format"] == 1:
            raise ValueError("version 0.1, whose format it has, had no such engine")
        numbers, kinds = state["optimizer"], self.optimizer.kinds
        need(numbers, {"name": str, "num_update": int}, "optimizer")
        if numbers["name"] != self.optimizer.name:
            raise ValueError(f"it is of another optimizer than {self.optimizer.name}")
        expected = {(name, kind): Entry(f"{name}.{kind}", entry.shape, entry.dtype)
                    for name, entry in self.entries().items() for kind in kinds}
        arrays = read_optimizer_arrays(folder / "optimizer.safetensors", expected)
        check_completeness(arrays, list(self.named) if numbers["num_update"] else [], kinds)
        return arrays, numbers

    def export(self, folder: Path, epoch: int) -> Path:
        """Write the net's state_dict as ``model-EEEE.safetensors``."""
        target = Path(folder, f"model-{epoch:04d}.safetensors")
        earlier = [path for path in exported_models(folder, "safetensors") if path != target]
        packed = {name: values.detach().cpu().contiguous()
                  for name, values in self.net.state_dict().items()}
        with replacing(target) as temporary:
            temporary.write_bytes(safetensors.torch.save(packed, {"format": "pt"}))
        for path in earlier:
            path.unlink()
        return target


def count_correct(y_hat: Tensor, y: Tensor) -> Tensor:
    """How many scores (batch, classes) are highest at the label: an integer of no dimensions."""
    return (y_hat.argmax(dim=1) == y).sum()


def count_by_class(y_hat: Tensor, y: Tensor) -> Tensor:
    """The counts that an evaluation makes of scores (batch, classes): float32 (3 * classes,)."""
    label = F.one_hot(y, y_hat.shape[1]).float()
    correct = (y_hat.argmax(dim=1) == y).float() @ label
    return torch.cat([correct, label.sum(dim=0), (y_hat.amax(dim=0) > 0).float()])


@torch.no_grad()
def fill(tensors: List[Tensor], values: Sequence[np.ndarray]) -> None:
    """Copy arrays into tensors of their shapes, on whatever device these are."""
    for tensor, value in zip(tensors, values):
        tensor.copy_(torch.from_numpy(np.array(value)))
