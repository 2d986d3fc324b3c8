"""What the loop, the callbacks and the checkpoints ask of a framework: the `Engine` protocol.

The loop is the same for MXNet Gluon and for PyTorch. `Engine` names the operations that differ;
`nin_gluon.training.gluon_engine` and `nin_gluon.training.torch_engine` implement them.
"""

from pathlib import Path
from typing import Any, Callable, Dict, List, Protocol, Sequence, Tuple

import numpy as np

__all__ = ["Engine", "OptimizerArrays", "step_seed"]

# By name and kind, such as ("000.weight", "momentum"): arrays of the shape of their parameters.
OptimizerArrays = Dict[Tuple[str, str], np.ndarray]


class Engine(Protocol):
    """A net on its devices, with its optimizer.

    Results of steps stay on the device until `fetch` brings them to the host, so that the host
    never waits within an epoch. Parameters go by position and role in the net: ``000.weight``,
    ``001.bias``. Both engines name them alike, so either can read what the other has saved.

    Attributes
    ----------
    name : {"gluon", "torch"}
    devices : list of str
        Such as ``["cpu(0)"]`` or ``["gpu(0)", "gpu(1)"]``.
    """

    name: str
    devices: List[str]

    # -------------------------------------------------------------- steps

    def seed_step(self, seed: int, epoch: int, step: int, rank: int = 0) -> None:
        """Seed the random numbers of one training step: dropout masks and augmentation."""

    def train_step(self, X: Any, y: Any) -> Any:
        """Train on a batch without waiting; return what `fetch` makes (parts, 3) of.

        For each part of the batch, one a device: the sum of the cross-entropy in nats, how many
        images were classified correctly before the update, and how many there were.
        """

    def start_evaluation(self) -> Callable[[Any, Any], Any]:
        """A function of (X, y) that counts how the present net classifies a batch, by class.

        It does not wait; `fetch` makes (parts, 3 * classes) of what it returns: for each class, the
        images classified correctly; the images there were; 1 if any image had a score above zero.
        """

    def fetch(self, results: Sequence[Any]) -> np.ndarray:
        """Results of steps as one array (steps, parts, values). Waits for the device once."""

    def sum_over_workers(self, numbers: Sequence[int]) -> List[int]:
        """Each number summed over all processes that train this net together."""

    def parameters_are_finite(self) -> bool:
        """Whether every parameter is a finite number. Waits for the device."""

    def predict(self, X: Any) -> np.ndarray:
        """The number of the class with the highest score, for each image of a batch."""

    def to_numpy(self, array: Any) -> np.ndarray:
        """An array of the framework on the host."""

    # -------------------------------------------------------------- for those who watch

    def last_learning_rate(self) -> float:
        """The learning rate of the last update."""

    def norms(self) -> Dict[str, Tuple[float, float]]:
        """For each parameter that is trained: its Euclidean norm, and its gradient's.

        The gradient is that of the last step as the optimizer got it, of the mean loss. Waits for
        the device.
        """

    def maps_and_scores(self, X: Any) -> Tuple[np.ndarray, np.ndarray]:
        """Maps (batch, classes, height, width) and scores (batch, classes) of a batch, float32."""

    def receptive_field(self) -> List[Tuple[float, int, int]]:
        """Where the values of the maps lie; see `nin_gluon.models.geometry.receptive_field`."""

    # -------------------------------------------------------------- files

    def parameters(self) -> Dict[str, np.ndarray]:
        """Copies of all parameters, in the net's order."""

    def put_parameters(self, values: Dict[str, np.ndarray]) -> None:
        """Give the net what `parameters` returned."""

    def read_parameters(self, folder: Path) -> Dict[str, np.ndarray]:
        """The parameters in a checkpoint's folder; ValueError unless they are those of this net."""

    def optimizer_state(self) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        """The optimizer's arrays, and its numbers as a dict for JSON."""

    def put_optimizer_state(self, arrays: OptimizerArrays, numbers: Dict[str, Any]) -> None:
        """Give the optimizer what `optimizer_state` returned."""

    def read_optimizer_state(self, folder: Path, state: Dict[str, Any],
                             ) -> Tuple[OptimizerArrays, Dict[str, Any]]:
        """The same from a checkpoint's folder and its ``state.json``, checked, or ValueError."""

    def export(self, folder: Path, epoch: int) -> Path:
        """Write the net for other programs and remove an earlier epoch's; return its path."""


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """The seed of one training step, from 0 to below 2**31.

    With a seed for every step the masks do not depend on where a run was stopped. With one for
    every worker (`rank`) each has its own masks.
    """
    entropy = (seed, epoch, step, rank) if rank else (seed, epoch, step)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31)
