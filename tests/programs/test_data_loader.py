"""Gluon's DataLoader in a prepared process."""

import gc
import types

import numpy as np
import pytest
from mxnet import gluon

from nin_gluon.programs import data_loader


@pytest.fixture
def loader(monkeypatch):
    """Gluon's DataLoader, changed until the end of the test, on a machine of two processors."""
    from mxnet.gluon.data import dataloader

    monkeypatch.setattr(dataloader.DataLoader, "__init__", dataloader.DataLoader.__init__)
    monkeypatch.setattr(data_loader, "available_cpus", lambda: 2)
    data_loader.say_once.cache_clear()
    data_loader.limit_workers(dataloader)
    gc.freeze()  # a DataLoader collects garbage when it is made: not among all that tests import
    yield gluon.data.DataLoader
    gc.unfreeze()


def free_shared_memory(monkeypatch, size):
    monkeypatch.setattr(data_loader.shutil, "disk_usage",
                        lambda path: types.SimpleNamespace(free=size))


DATA = gluon.data.ArrayDataset(np.arange(20, dtype="float32"), np.arange(20, dtype="int32"))


def test_there_are_no_more_workers_than_processors(loader, monkeypatch):
    free_shared_memory(monkeypatch, 2**34)
    assert loader(DATA, 8, num_workers=4)._num_workers == 2
    assert loader(DATA, 8, num_workers=1)._num_workers == 1
    assert loader(DATA, 8)._num_workers == 0
    assert loader(DATA, 8, num_workers=4, thread_pool=True)._num_workers == 4


def test_the_batches_do_not_depend_on_it(loader, monkeypatch):
    passes = []
    for free in (2**34, 2**20):
        free_shared_memory(monkeypatch, free)
        np.random.seed(1)
        batches = loader(DATA, 8, True, num_workers=4)
        passes.append([(X.asnumpy().tolist(), y.asnumpy().tolist()) for X, y in batches])
    assert passes[0] == passes[1]
    assert [len(X) for X, _ in passes[0]] == [8, 8, 4]


def test_without_shared_memory_there_are_none_and_it_is_said_once(loader, monkeypatch, caplog):
    free_shared_memory(monkeypatch, 64 * 2**20)  # what Docker gives
    assert loader(DATA, 8, num_workers=4)._num_workers == 0
    assert loader(DATA, 8, False, None, None, None, None, 4)._num_workers == 0  # by position
    assert [record.message for record in caplog.records] == [
        "/dev/shm has 64 MiB, too little for the workers of a DataLoader; batches are made "
        "without them"]
