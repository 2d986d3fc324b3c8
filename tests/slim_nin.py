"""The chapter's net with an eighth of its channels, for tests whose subject is not the net.

Layers, parameters' names and the smallest input stay the same; a step takes a fraction of the time.

    python -m tests.slim_nin COMMAND ...    runs a command of the package with this net
"""

import importlib
import sys

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
        module = importlib.import_module(MODULES[framework])
        setattr(module, "nin_block", slimmed(module.nin_block))


if __name__ == "__main__":
    slim("torch" if "torch" in sys.argv else "mxnet")
    sys.exit(importlib.import_module(f"nin_gluon.{sys.argv[1]}").main(sys.argv[2:]))
