"""Trained nets as the package would have them, but never trained."""

import mxnet as mx

from nin_gluon import models
from nin_gluon.data.sets import GARMENTS
from nin_gluon.pretrained import Preprocessing, Weights
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.checkpoint.net_parameters import named_parameters

EVALUATION = {"accuracy": 0.125, "loss": 2.25, "images": 32, "dtype": "float32"}


def made_weights(name="nin", size=67, dataset="fashion-mnist", storage="float32"):
    """The file's content for a net with He's initialization."""
    net = models.get_model(name)
    net.initialize(models.initializer("he", net))
    # Waiting, because MXNet changes the layout of the weights in place during this very call, and
    # reading them meanwhile fails.
    net(mx.nd.zeros((1, 1, size, size))).wait_to_read()
    parameters = {key: p.data().asnumpy() for key, p in named_parameters(net).items()}
    settings = TEXTBOOK.but(model=name, dataset=dataset, resize=size, batch_size=16,
                            preprocess="standardize")
    return Weights(name, GARMENTS, Preprocessing(28, 28, 1, size, "bilinear", 72.9, 90.2),
                   settings, "python -m nin_gluon.train", EVALUATION, parameters, storage)
