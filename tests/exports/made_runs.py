"""Run folders of untrained nets, in either engine, made without a training step."""

import numpy as np

from nin_gluon.array_files import write_safetensors
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.history import EpochRecord, write_history
from nin_gluon.training.run_folder import Environment, RunConfig, write_config

CHANNELS = {"cifar10": 3}


def make_net(settings):
    """A net with He's initialization, and its parameters by position."""
    channels, size = CHANNELS.get(settings.dataset, 1), settings.resize
    if settings.engine == "torch":
        from nin_gluon.torch_models.initializer import initialize
        from nin_gluon.torch_models.nets import known_net

        net = known_net(settings.model, channels, size).eval()
        initialize(net, "he")
        values = [(name.rsplit(".")[-1], p.detach().numpy()) for name, p in net.named_parameters()]
    else:
        import mxnet as mx

        from nin_gluon import models

        net = models.get_model(settings.model)
        net.initialize(models.initializer("he"))
        net(mx.nd.zeros((1, channels, size, size))).wait_to_read()
        values = [(p.name.rsplit("_")[-1], p.data().asnumpy())
                  for p in net.collect_params().values()]
    random = np.random.RandomState(0)  # biases are zero otherwise, and would not be tested
    parameters = {f"{i:03d}.{role}": value if role == "weight"
                  else random.normal(0, 0.1, value.shape).astype(np.float32)
                  for i, (role, value) in enumerate(values)}
    return net, parameters


def make_run(folder, **settings):
    """A run folder as after one epoch."""
    settings = TEXTBOOK.but(**{"dataset": "fashion-mnist", "resize": 67, "epochs": 1,
                               "batch_size": 16, **settings})
    _, parameters = make_net(settings)
    saved = folder / "checkpoint" / "epoch-0002-step-000000"
    saved.mkdir(parents=True)
    write_config(folder, RunConfig("textbook", settings, Environment("cpu", machine={})))
    write_history(folder / "history.jsonl", [EpochRecord(1, 1.0, 0.5, 0.5, 1.0)])
    write_safetensors(saved / "net.safetensors", parameters)
    return folder


def scores_of(settings, parameters, X):
    """What the engine's net with these parameters says of X, a NumPy array."""
    if settings.engine == "torch":
        import torch

        from nin_gluon.torch_models.nets import known_net

        net = known_net(settings.model, *X.shape[1:3]).eval()
        with torch.no_grad():
            for p, value in zip(net.parameters(), parameters.values()):
                p.copy_(torch.tensor(value))
            return net(torch.tensor(X)).numpy()
    import mxnet as mx

    from nin_gluon import models
    from nin_gluon.training.checkpoint.net_parameters import infer_shapes, set_parameters

    net = models.get_model(settings.model)
    infer_shapes(net, X.shape[1:])
    set_parameters(net, list(parameters.values()), mx.cpu())
    return net(mx.nd.array(X)).asnumpy()


def largest_difference(found, expected):
    """As a part of the largest score."""
    return np.abs(found - expected).max() / np.abs(expected).max()
