"""The images that tests use: real Fashion-MNIST through NIN_GLUON_DATA, else the sample."""

import gc
import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import nin_gluon  # noqa: F401  (makes mxnet importable)
from nin_gluon.data.sets import load_image_set

DATASET = "fashion-mnist" if os.environ.get("NIN_GLUON_DATA") else "sample"


def pytest_configure(config):
    config.dataset = DATASET
    sys.modules.setdefault("rfc3987_syntax", None)  # as nin_gluon.run does, and why
    os.fsync = lambda descriptor: None  # no test waits for the disk; one looks whether it is asked


@pytest.hookimpl(hookwrapper=True)
def pytest_collection():
    """Collect no garbage meanwhile: what the tests' modules make stays, and looking takes seconds.
    """
    gc.disable()
    yield
    gc.enable()


def pytest_collection_modifyitems(items):
    """The longest test starts first: were it the last, one process alone would be busy with it."""
    items.sort(key=lambda item: item.path.name != "test_recorded_values.py")


def pytest_collection_finish():
    """Spare the garbage collector the libraries and tests, which stay to the end.

    A full collection would take a tenth of a second, and Gluon's DataLoader asks for one each time.
    """
    gc.freeze()


def pytest_report_header():
    if DATASET == "sample":
        return "images: the built-in sample (set NIN_GLUON_DATA to test on real Fashion-MNIST)"
    return "images: real Fashion-MNIST, through NIN_GLUON_DATA"


@pytest.fixture(scope="session")
def garments():
    """Function of (split, n): the first n images (n, 28, 28, 1) and labels (n,) of a split."""
    loaded = {}

    def take(split, n):
        if split not in loaded:
            loaded[split] = load_image_set(DATASET, split)
        images, labels = loaded[split]
        return images[:n], labels[:n]

    return take


@pytest.fixture
def few_images(garments, monkeypatch):
    """Make every data set, by whatever name, consist of 48 training and 32 test images."""
    import nin_gluon.data

    def load(name, split, root=None):
        return garments(split, 48 if split == "train" else 32)

    monkeypatch.setattr(nin_gluon.data, "load_image_set", load)


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave a run's pictures out, which take longer than the training here."""
    from tests import slim_nin

    slim_nin.without_pictures(monkeypatch.setattr)


@pytest.fixture(scope="module")
def slim():
    """Give the chapter's net an eighth of its channels; see `tests.slim_nin`."""
    from tests import slim_nin

    with pytest.MonkeyPatch.context() as patch:
        slim_nin.slim(*filter(find_spec, ("mxnet", "torch")), setattr=patch.setattr)
        yield


@pytest.fixture
def one_thread():
    """Give PyTorch, if it is here, one thread: for such small nets, two would wait for each other.
    """
    if not find_spec("torch"):
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Each test starts from the same random state, whatever ran before it."""
    import mxnet as mx

    mx.random.seed(7)
    np.random.seed(7)
    if "torch" in sys.modules:  # its own manual_seed looks for GPUs, for a millisecond
        sys.modules["torch"].default_generator.manual_seed(7)
