"""From a run's settings to its net, data and optimizer in PyTorch."""

import warnings

import numpy as np
import torch

from nin_gluon.data.torch_loader import load_data
from nin_gluon.errors import InputError
from nin_gluon.runtime.torch_precision import check_dtype, use_dtype
from nin_gluon.settings import Settings
from nin_gluon.torch_models import nets
from nin_gluon.torch_models.initializer import initialize
from nin_gluon.training.run import Run, check_batches, check_classes
from nin_gluon.training.run_data import check_memory, load_settled
from nin_gluon.training.run_folder import RunConfig
from nin_gluon.training.schedules import schedule_of
from nin_gluon.training.torch_engine import TorchEngine, as_it_is
from nin_gluon.training.torch_optimizers import optimizer_of
from nin_gluon.training.torch_step import choose_mode
from nin_gluon.training.torch_workers import TorchWorkers

__all__ = ["check", "prepare"]


def check(settings: Settings, device: torch.device) -> None:
    """Raise `InputError` if this engine cannot do what the settings ask for on this device."""
    if settings.kvstore != "device":
        raise InputError(f"--kvstore {settings.kvstore} is MXNet's: use it with --engine gluon.")
    check_dtype(settings.dtype, device)


def prepare(config: RunConfig, device: torch.device, workers: TorchWorkers) -> Run:
    """Build the net, its optimizer and the data of a run, all from the run's seed.

    Parameters
    ----------
    config : RunConfig
    device : torch.device
        Of this process.
    workers : TorchWorkers

    Raises
    ------
    InputError
        The settings do not fit together, or the data cannot be had.
    """
    check(config.settings, device)
    use_dtype(config.settings.dtype)
    torch.manual_seed(config.settings.seed % 2**31)
    np.random.seed(config.settings.seed % 2**31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that PyTorch's lazy layers are new
        net = nets.get_model(config.settings.model)
    batch_size = config.settings.batch_size * workers.count

    train_iter, test_iter, config = load_settled(config, lambda name, **options: load_data(
        name, batch_size, device=device, part=(workers.rank, workers.count), **options),
        workers.count == 1)
    settings = config.settings
    for data_iter in (train_iter, test_iter):
        check_batches(len(data_iter.labels), batch_size, workers.count)
    channels = train_iter.images.shape[3]
    check_memory(settings, channels, len(train_iter.labels))
    size = settings.edge
    nets.check_size(net, size)
    with torch.no_grad():  # one pass settles the shapes
        scores = net(torch.zeros(1, channels, size, size))
    check_classes(settings, scores.shape[1])
    initialize(net, settings.init)
    mode = choose_mode(config.environment.mode, device, workers.count)
    transforms = ((as_it_is, as_it_is) if mode == "eager"
                  else (train_iter.hand_over(), test_iter.hand_over()))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    engine = TorchEngine(net, device, optimizer_of(settings, list(net.parameters())),
                         schedule_of(settings, settings.epochs * len(train_iter)), batch_size,
                         settings.dtype, workers.count, mode, transforms)
    return Run(config, workers, engine, train_iter, test_iter)
