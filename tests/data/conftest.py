"""What tests of finding and downloading files share: an environment of their own, a server."""

import contextlib
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from nin_gluon.data import load
from tests.data.small_cifar import ARCHIVE
from tests.data.toys import Server


@pytest.fixture
def mxnet_datasets(tmp_path, monkeypatch):
    """MXNet's data folder, in an environment that names no other folder and no proxy."""
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet home"))
    monkeypatch.setenv("NO_PROXY", "*")
    load.notice.cache_clear()
    return tmp_path / "mxnet home" / "datasets"


@pytest.fixture
def mxnet_toys(mxnet_datasets):
    return mxnet_datasets / "toys"


@pytest.fixture
def mxnet_cifar(mxnet_datasets):
    return mxnet_datasets / "cifar10"


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture
def closed_port():
    """An address that nobody listens at."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}/"


@pytest.fixture
def downloads(monkeypatch):
    """What is downloaded, from a network that has CIFAR-10's archive: a list of (name, folder)."""
    asked = []

    def download(image_set, file, folder):
        asked.append((file.name, folder))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(ARCHIVE)
        return folder / file.name

    monkeypatch.setattr(load, "download", download)
    return asked


@pytest.fixture
def open_folder(monkeypatch):
    """A folder that every user may look into, with MXNet's data folder in it.

    pytest's own temporary folders are closed to other users.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("MXNET_HOME", str(Path(folder, "mxnet home")))
        yield Path(folder)


@pytest.fixture
def as_user():
    """A context in which this process has no more rights than an ordinary user."""
    @contextlib.contextmanager
    def as_user():
        before = os.geteuid()
        if before:
            yield
            return
        os.seteuid(65534)  # nobody
        try:
            yield
        finally:
            os.seteuid(before)

    return as_user
