"""The chapter's net with an eighth of its channels, for tests whose subject is not the net.

Layers, parameters' names and the smallest input stay the same; a step takes a fraction of the time.

    python -m tests.slim_nin COMMAND ...    runs a command of the package with this net, on a sample
                                            of few images, without pictures
"""

import importlib
import sys
import types

from nin_gluon.runtime import after_import

CHANNELS = {96: 12, 256: 32, 384: 48}

# Modules that build the net, by framework. (As an attribute, `nin_gluon.models.nin` is a function.)
MODULES = {"mxnet": "nin_gluon.models.nin", "torch": "nin_gluon.torch_models.nets"}


def slimmed(nin_block):
    """A `nin_block` with an eighth of the channels; the classes keep theirs."""

    def slim_block(num_channels, *args, **kwargs):
        return nin_block(CHANNELS.get(num_channels, num_channels), *args, **kwargs)

    return slim_block


def slim(*frameworks, setattr=setattr):
    """From now on `nin` is slim in these frameworks; pytest's monkeypatch.setattr ends it."""
    for framework in frameworks:
        slim_module(importlib.import_module(MODULES[framework]), setattr)


def slim_module(module, setattr=setattr):
    setattr(module, "nin_block", slimmed(module.nin_block))


def small_sample(train=128, test=32, setitem=dict.__setitem__):
    """From now on the built-in sample has so few images; to draw all of them takes a second."""
    from nin_gluon.data import sets
    from nin_gluon.data.sample import draw_sample

    def load(split, root=None):
        images, labels = draw_sample(train, seed=0) if split == "train" else draw_sample(test, 1)
        return images[..., None], labels

    setitem(sets.DATASETS, "sample", sets.DATASETS["sample"]._replace(load=load))


def no_pictures():
    """Let training draw nothing, nor import matplotlib; before nin_gluon.training is imported."""
    plots = types.ModuleType("nin_gluon.plots")
    plots.draw_curves = plots.draw_predictions = plots.save = lambda *args, **kwargs: None
    sys.modules["nin_gluon.plots"] = plots


def without_pictures(setattr):
    """The same in a process that goes on; pytest's monkeypatch.setattr ends it."""
    from nin_gluon.training import callbacks
    from nin_gluon.training.run import Run

    setattr(Run, "draw_predictions", lambda *args: None)
    setattr(callbacks.plots, "draw_curves", lambda *args: None)
    setattr(callbacks.plots, "save", lambda *args: None)


if __name__ == "__main__":
    no_pictures()
    small_sample()
    for name in MODULES.values():  # once the command imports it, if it does
        after_import(name, slim_module)
    sys.exit(importlib.import_module(f"nin_gluon.{sys.argv[1]}").main(sys.argv[2:]))
