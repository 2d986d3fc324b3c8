"""Fixtures of the PyTorch edition's tests."""

import pytest


@pytest.fixture(autouse=True)
def always_one_thread(one_thread):
    """All nets here are small."""


@pytest.fixture
def iterators(garments):
    """600 training images in 19 batches, and 200 test images in 7."""
    from nin_gluon.torch_edition.data import BatchLoader

    return (BatchLoader(*garments("train", 600), 32, shuffle=True),
            BatchLoader(*garments("test", 200), 32))


@pytest.fixture
def quick(garments, monkeypatch):
    """Few images, a small net, no picture."""
    from nin_gluon import plots
    from nin_gluon.torch_edition import data, net
    from tests.torch_edition.small import Small

    monkeypatch.setattr(data, "load_image_set",
                        lambda name, split, root=None: garments(split, 90))
    monkeypatch.setattr(net, "nin", lambda in_channels: Small())
    monkeypatch.setattr(plots, "draw_curves", lambda *args: None)
    monkeypatch.setattr(plots, "save", lambda *args: None)
