"""The chapter's net with an eighth of its channels, for tests whose subject is not the net.

The paper's net for CIFAR-10 becomes as slim. Layers, parameters' names and the smallest input stay
the same; a step takes a fraction of the time.

    python -m tests.slim_nin COMMAND ...    runs a command of the package with this net, on a sample
                                            of few images, without pictures
"""

import importlib
import itertools
import sys
import types

from nin_gluon.runtime import after_import

CHANNELS = {96: 12, 256: 32, 384: 48}
CIFAR_CHANNELS = {192: 24, 160: 20}

# Modules that build nets, by framework. (As an attribute, `nin_gluon.models.nin` is a function.)
MODULES = {"mxnet": ("nin_gluon.models.nin", "nin_gluon.models.cifar_nin",
                     "nin_gluon.models.variants"),
           "torch": ("nin_gluon.torch_models.nets",)}


def slimmed(nin_block):
    """A `nin_block` with an eighth of the channels; the classes keep theirs."""

    def slim_block(num_channels, *args, **kwargs):
        return nin_block(CHANNELS.get(num_channels, num_channels), *args, **kwargs)

    return slim_block


def slimmed_chain(chain):
    """Layers of the paper's net with an eighth of the channels; other nets' channels stay."""

    def slim_chain(channels, *args, **kwargs):
        return chain([CIFAR_CHANNELS.get(each, each) for each in channels], *args, **kwargs)

    return slim_chain


def slimmed_layers(layers):
    """Gluon's layers; convolutions have an eighth of the chapter's channels."""

    def slim_conv(channels, *args, **kwargs):
        return layers.Conv2D(CHANNELS.get(channels, channels), *args, **kwargs)

    return types.SimpleNamespace(**{**vars(layers), "Conv2D": slim_conv})


# What builds layers in those modules, and in that of the variants.
SLIMMED = {"nin_block": slimmed, "mlpconv_layer": slimmed_chain, "chain": slimmed_chain}
SLIMMED_VARIANTS = {"nn": slimmed_layers}


def slim(*frameworks, setattr=setattr):
    """From now on the nets are slim in these frameworks; pytest's monkeypatch.setattr ends it."""
    for framework in frameworks:
        for name in MODULES[framework]:
            slim_module(importlib.import_module(name), setattr)


def slim_module(module, setattr=setattr):
    slimmed_ones = SLIMMED_VARIANTS if module.__name__.endswith(".variants") else SLIMMED
    for name in slimmed_ones.keys() & vars(module).keys():
        setattr(module, name, slimmed_ones[name](getattr(module, name)))


def small_sample(train=128, test=32, setitem=dict.__setitem__):
    """From now on the built-in sample has so few images; to draw all of them takes a second."""
    from nin_gluon.data import sets
    from nin_gluon.data.sample import draw_sample

    def load(split, root=None):
        images, labels = draw_sample(train, seed=0) if split == "train" else draw_sample(test, 1)
        return images[..., None], labels

    setitem(sets.DATASETS, "sample", sets.DATASETS["sample"]._replace(load=load))


def no_pictures():
    """Let commands draw nothing, nor import matplotlib if they have not yet."""
    if "nin_gluon.training.callbacks" in sys.modules:
        without_pictures(setattr)
    plots = types.ModuleType("nin_gluon.plots")
    for name in ("draw_curves", "draw_predictions", "draw_class_maps", "save"):
        setattr(plots, name, lambda *args, **kwargs: None)
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
    for name in itertools.chain(*MODULES.values()):  # once the command imports it, if it does
        after_import(name, slim_module)
    sys.exit(importlib.import_module(f"nin_gluon.{sys.argv[1]}").main(sys.argv[2:]))
