"""The engine of MXNet Gluon: training and test steps, and what checkpoints keep."""

import contextlib
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.contrib import amp

from nin_gluon.models.cpu_optimization import optimize_for_inference
from nin_gluon.models.geometry import receptive_field
from nin_gluon.models.head import maps_and_head
from nin_gluon.training.checkpoint import net_parameters, trainer_state
from nin_gluon.training.engine import OptimizerArrays, step_seed
from nin_gluon.training.run_folder import export_net

__all__ = ["GluonEngine", "count_correct"]

Devices = Union[mx.Context, List[mx.Context]]
Parts = List[nd.NDArray]  # one for each device

# Python runs ahead of the device, and what it has queued takes memory: the batches, and for each
# unfinished step the activations of a whole batch, which are twenty times as large. So Python waits
# when the queued batches come to this many bytes. A GPU has to be kept busier.
MAX_QUEUED_BYTES = {"cpu": 16 * 2**20, "gpu": 64 * 2**20}

MAX_ARRAYS = 200  # nd.multi_all_finite crashes the process if it gets more


class GluonEngine:
    """A Gluon net with its trainer; see `nin_gluon.training.engine.Engine`.

    Parameters
    ----------
    net : Block
        Initialized on `ctx`. X (batch, channels, height, width) -> scores (batch, classes).
    ctx : mxnet.Context or list of mxnet.Context
        With several devices each takes a part of every batch.
    trainer : gluon.Trainer, optional
        Not needed to evaluate.
    batch_size : int
        The gradient is divided by it, for the last, smaller batch too, as in d2lzh. With several
        workers it is that of all workers together.
    forward_of : callable, optional
        Makes of the net the function that is trained, such as
        `nin_gluon.models.optimize_for_training`. By default that is the net itself, and a run
        equals d2lzh's to the last bit.
    all_reduce : callable, optional
        For several workers that train one net, each on its part of every batch: sums the NDArrays
        that it is given, one per device, over these and over all workers.
    """

    name = "gluon"

    def __init__(self, net: gluon.Block, ctx: Devices, trainer: Optional[gluon.Trainer] = None,
                 batch_size: int = 1,
                 forward_of: Optional[Callable[[gluon.Block], Callable]] = None,
                 all_reduce: Optional[Callable[[Parts], nd.NDArray]] = None) -> None:
        self.net, self.batch_size, self.all_reduce = net, batch_size, all_reduce
        self.contexts = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx]
        self.devices = list(map(str, self.contexts))
        self.trainer: Any = trainer
        self.forward = forward_of(net) if forward_of else net
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss()
        self.queue = Queue()

    # -------------------------------------------------------------- steps

    def seed_step(self, seed: int, epoch: int, step: int, rank: int = 0) -> None:
        # MXNet can set its random state but not tell it. Seeding is queued like any operation.
        mx.random.seed(step_seed(seed, epoch, step, rank))

    def train_step(self, X: nd.NDArray, y: nd.NDArray) -> Parts:
        Xs, ys = split(X, self.contexts), split(y, self.contexts)
        with autograd.record():
            y_hats = [self.forward(X) for X in Xs]
            ls = [self.loss(y_hat, y) for y_hat, y in zip(y_hats, ys)]
            with scaled(ls, self.trainer) as heads:
                autograd.backward(heads)
        self.trainer.step(self.batch_size)
        sums = sums_of(ls, y_hats, ys)
        if self.all_reduce:
            sums = [self.all_reduce(sums)]
        self.queue.add(X, first_parameter(self.trainer))  # the last one to get its gradient
        return sums

    def start_evaluation(self) -> Callable[[nd.NDArray, nd.NDArray], Parts]:
        forward, queue = optimize_for_inference(self.net), Queue()

        def test_step(X: nd.NDArray, y: nd.NDArray) -> Parts:
            counts = [count_by_class(forward(X_part), y_part) for X_part, y_part in
                      zip(split(X, self.contexts), split(y, self.contexts))]
            queue.add(X, counts[-1])
            return counts

        return test_step

    def fetch(self, results: Sequence[Parts]) -> np.ndarray:
        arrays = [array.as_in_context(mx.cpu()) for parts in results for array in parts]
        if not arrays:
            return np.empty((0, 1, 1))
        values = nd.stack(*arrays).asnumpy()  # the only wait
        return values.reshape(len(results), -1, values.shape[1])

    def sum_over_workers(self, numbers: Sequence[int]) -> List[int]:
        if not self.all_reduce:
            return list(numbers)
        sums: List[int] = []
        for start in range(0, len(numbers), 3):  # it sums arrays of three
            three = (list(numbers[start : start + 3]) + [0, 0])[:3]
            sums += map(int, self.all_reduce([nd.array(three)]).asnumpy().tolist())
        return sums[: len(numbers)]

    def parameters_are_finite(self) -> bool:
        arrays = [p.list_data()[0] for p in self.net.collect_params().values()]
        parts = [arrays[i : i + MAX_ARRAYS] for i in range(0, len(arrays), MAX_ARRAYS)]
        finite = [nd.multi_all_finite(*part, num_arrays=len(part)) for part in parts]
        return bool(nd.stack(*finite).asnumpy().all()) if finite else True

    def predict(self, X: nd.NDArray) -> np.ndarray:
        return self.net(X.as_in_context(self.contexts[0])).argmax(axis=1).asnumpy()

    def to_numpy(self, array: nd.NDArray) -> np.ndarray:
        return array.asnumpy()

    # -------------------------------------------------------------- for those who watch

    def last_learning_rate(self) -> float:
        return float(self.trainer.learning_rate)

    def norms(self) -> Dict[str, Tuple[float, float]]:
        trained = {name: p for name, p in net_parameters.named_parameters(self.net).items()
                   if p.grad_req != "null"}
        arrays = [norm(array) for p in trained.values()
                  for array in (p.list_data()[0], p.list_grad()[0])]
        values = nd.concat(*arrays, dim=0).asnumpy().reshape((-1, 2)).tolist()
        # The trainer divides by the batch size, and by the scale of the loss in float16.
        rescale = self.trainer._optimizer.rescale_grad
        return {name: (value, gradient * rescale)
                for name, (value, gradient) in zip(trained, values)}

    def maps_and_scores(self, X: nd.NDArray) -> Tuple[np.ndarray, np.ndarray]:
        features, head = maps_and_head(self.net)
        features.hybridize(static_alloc=True, static_shape=True)
        maps = optimize_for_inference(features)(X.as_in_context(self.contexts[0]))
        # NumPy would take the bits of a bfloat16 number for an integer.
        return maps.astype("float32").asnumpy(), head(maps).astype("float32").asnumpy()

    def receptive_field(self) -> List[Tuple[float, int, int]]:
        return receptive_field(maps_and_head(self.net)[0])

    # -------------------------------------------------------------- files

    def parameters(self) -> Dict[str, np.ndarray]:
        return {name: parameter.list_data()[0].asnumpy()
                for name, parameter in net_parameters.named_parameters(self.net).items()}

    def put_parameters(self, values: Dict[str, np.ndarray]) -> None:
        net_parameters.set_parameters(self.net, list(values.values()), self.contexts)

    def read_parameters(self, folder: Path) -> Dict[str, np.ndarray]:
        names = net_parameters.named_parameters(self.net)
        return dict(zip(names, net_parameters.read_parameters(folder, self.net)))

    def optimizer_state(self) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        return trainer_state.take(self.trainer, self.trainer_names())

    def put_optimizer_state(self, arrays: OptimizerArrays, numbers: Dict[str, Any]) -> None:
        trainer_state.put(self.trainer, self.trainer_names(), arrays, numbers)

    def read_optimizer_state(self, folder: Path, state: Dict[str, Any],
                             ) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        names, parameters = self.trainer_names(), net_parameters.named_parameters(self.net)
        expected = {(name, kind): net_parameters.entry_of(f"{name}.{kind}", parameters[name])
                    for name in names for kind in trainer_state.kinds_of(self.trainer)}
        return trainer_state.read(folder, state, self.trainer, names, expected)

    def trainer_names(self) -> List[str]:
        """Our names of the trainer's parameters, in its order, which may not be the net's."""
        names = {id(parameter): name
                 for name, parameter in net_parameters.named_parameters(self.net).items()}
        return [names[id(parameter)] for parameter in self.trainer._params]

    def export(self, folder: Path, epoch: int) -> Path:
        return export_net(self.net, folder, epoch)


# ------------------------------------------------------------------ parts of a step


def split(batch: nd.NDArray, devices: List[mx.Context]) -> Parts:
    """One part of the batch for each device; for one device, the batch itself."""
    return gluon.utils.split_and_load(batch, devices, even_split=False)


def scaled(losses: Parts, trainer: gluon.Trainer) -> Any:
    """The losses as they enter the backward pass: scaled in float16, otherwise unchanged.

    ``amp.init_trainer`` prepared the trainer, which divides the gradients by the same factor and
    looks for a smaller factor when they overflow.
    """
    float16 = getattr(trainer, "_amp_loss_scaler", None) is not None
    return amp.scale_loss(losses, trainer) if float16 else contextlib.nullcontext(losses)


def sums_of(losses: Parts, y_hats: Parts, ys: Parts) -> Parts:
    """For each device an array (3,): the loss summed, the correct images, the images."""
    return [nd.concat(l.sum(), count_correct(y_hat, y), nd.full(1, len(y), l.context), dim=0)
            for l, y_hat, y in zip(losses, y_hats, ys)]


def count_correct(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
    """How many scores (batch, classes) are highest at the label: NDArray of shape (1,)."""
    return (y_hat.argmax(axis=1) == y.reshape((-1,)).astype("float32")).sum()


def count_by_class(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
    """The counts that an evaluation makes of scores (batch, classes): NDArray (3 * classes,)."""
    y_hat, y = y_hat.astype("float32", copy=False), y.reshape((-1,)).astype("float32", copy=False)
    label = nd.one_hot(y, y_hat.shape[1])
    correct = nd.dot(y_hat.argmax(axis=1) == y, label)
    return nd.concat(correct, label.sum(axis=0), y_hat.max(axis=0) > 0, dim=0)


def norm(array: nd.NDArray) -> nd.NDArray:
    """The Euclidean norm, of shape (1,).

    By rows first, because MXNet sums the squares one after the other in float32.
    """
    return array.reshape((array.shape[0], -1)).norm(axis=1).norm()


def first_parameter(trainer: gluon.Trainer) -> nd.NDArray:
    """The first parameter that is trained; a frozen one would never have to wait."""
    return next(p for p in trainer._params if p.grad_req != "null").list_data()[-1]


class Queue:
    """Keeps Python from queueing more than `MAX_QUEUED_BYTES` of batches ahead of the device."""

    def __init__(self) -> None:
        self.queued = 0

    def add(self, X: nd.NDArray, result: nd.NDArray) -> None:
        """Note that X was queued; once it is too much, wait for the last result."""
        self.queued += X.size * 4
        if self.queued > MAX_QUEUED_BYTES[result.context.device_type]:
            result.wait_to_read()
            self.queued = 0
