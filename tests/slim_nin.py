"""The chapter's net with an eighth of its channels, for tests whose subject is not the net.

Layers, parameters' names and the smallest input stay the same; a step takes a fraction of the time.

    python -m tests.slim_nin COMMAND ...    runs a command of the package with this net
"""

import importlib
import sys
from importlib.util import find_spec

CHANNELS = {96: 12, 256: 32, 384: 48}

# Modules that build the net. (`nin_gluon.models.nin` as an attribute is the function.)
MODULES = [importlib.import_module(name)
           for name, needs in (("nin_gluon.models.nin", "mxnet"),
                               ("nin_gluon.torch_models.nets", "torch")) if find_spec(needs)]


def slimmed(nin_block):
    """A `nin_block` with an eighth of the channels; the classes keep theirs."""

    def slim_block(num_channels, *args, **kwargs):
        return nin_block(CHANNELS.get(num_channels, num_channels), *args, **kwargs)

    return slim_block


def slim(setattr=setattr):
    """From now on `nin` is slim, in both frameworks; pytest's monkeypatch.setattr ends it."""
    for module in MODULES:
        setattr(module, "nin_block", slimmed(module.nin_block))


if __name__ == "__main__":
    slim()
    sys.exit(importlib.import_module(f"nin_gluon.{sys.argv[1]}").main(sys.argv[2:]))
