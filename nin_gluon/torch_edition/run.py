"""A run of the PyTorch edition: what `nin_gluon.training.run` does not know of it."""

from pathlib import Path
from typing import List, Tuple

import torch

from nin_gluon.errors import InputError
from nin_gluon.torch_edition import data, old_checkpoint
from nin_gluon.torch_edition import net as nets
from nin_gluon.torch_edition.engine import EditionEngine
from nin_gluon.torch_edition.loop import print_summary
from nin_gluon.training import checkpoint, run
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.run_data import check_memory, load_settled
from nin_gluon.training.run_folder import RunConfig
from nin_gluon.training.tally import Tally
from nin_gluon.training.torch_step import choose_mode
from nin_gluon.training.torch_workers import TorchWorkers
from nin_gluon.training.workers import worker_count

__all__ = ["Run", "prepare"]


class Run(run.Run):
    """A run with that edition's closing lines, which may go on from the checkpoints of old."""

    engine: EditionEngine

    def resume(self, folder: Path) -> Tuple[List[EpochRecord], Tally]:
        if not checkpoint.complete(folder) and old_checkpoint.is_there(folder):
            history, tally = old_checkpoint.restore(folder, self.engine, self.train_iter)
            self.train_iter.skip = tally.step
            return history, tally
        return super().resume(folder)

    def train(self, hooks: Hooks) -> List[EpochRecord]:
        history = super().train(hooks)
        print_summary(history, len(self.train_iter.labels), self.engine.device)
        return history

    def draw_predictions(self, path: Path) -> None:
        """That edition shows none."""


def prepare(config: RunConfig, device: torch.device) -> Run:
    """Load the data and build the net of a run, all from the run's seed.

    Raises
    ------
    InputError
        The images are too small, the data cannot be had, or the run began with other files.
    """
    if worker_count() > 1:
        raise InputError(f"torchrun has started {worker_count()} processes, and this edition "
                         "trains in one; use python -m nin_gluon.train --engine torch.")
    settings, mode = config.settings, choose_mode(config.environment.mode, device, workers=1)
    size = settings.edge
    if size < nets.SMALLEST_INPUT:
        raise InputError(f"--resize {size} is too small for this net: nothing would be left before "
                         f"the average; the smallest is {nets.SMALLEST_INPUT}.")
    torch.manual_seed(settings.seed % 2**63)
    train_iter, test_iter, config = load_settled(config, lambda name, **options: data.load_data(
        name, settings.batch_size, size, options["root"], device, options["limit"]))
    channels = train_iter.images.shape[1]
    check_memory(config.settings, channels, len(train_iter.labels))
    net = nets.nin(in_channels=channels)
    nets.init_weights(net)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.backends.cudnn.benchmark = True  # sizes do not change: let cuDNN look for the fastest
    engine = EditionEngine(net, device, settings.lr, settings.dtype, mode, train_iter)
    return Run(config, TorchWorkers(), engine, train_iter, test_iter)
