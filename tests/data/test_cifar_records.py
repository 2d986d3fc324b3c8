"""CIFAR-10's binary format: good files, and each way in which one can be bad."""

import numpy as np
import pytest

from nin_gluon.data.cifar_records import read_records
from nin_gluon.errors import InputError
from tests.data.small_cifar import records


def test_records_are_what_gluon_reads_in_them(tmp_path):
    from mxnet.gluon.data.vision import CIFAR10 as GluonsCIFAR10

    path = tmp_path / "own.bin"
    path.write_bytes(records(7))
    images, labels = read_records(path)
    theirs, their_labels = GluonsCIFAR10._read_batch(None, str(path))
    assert np.array_equal(images, theirs) and np.array_equal(labels, their_labels)
    assert images.dtype == labels.dtype == np.uint8


@pytest.mark.parametrize("content, says", [
    (b"", "is empty"),
    (records()[:-1], "has 36,875 bytes, which are 11 records and 3,072 bytes"),
    (b"<html>sign in</html>", "has 20 bytes, which are 0 records and 20 bytes"),
    (records()[: 2 * 3073] + b"\x0a" + records()[1:3073], "holds the label 10 in record 3"),
])
def test_what_is_not_of_that_form(tmp_path, content, says):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_records(path)
    assert str(path) in str(caught.value) and says in str(caught.value)
    assert "expected records of 3,073 bytes" in str(caught.value)
    assert path.read_bytes() == content


def test_more_records_than_there_is_memory_for(tmp_path, monkeypatch):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(records(2))

    def fromfile(*args):
        raise MemoryError

    monkeypatch.setattr(np, "fromfile", fromfile)
    with pytest.raises(InputError, match="holds 2 records, more than there is memory for"):
        read_records(path)


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(records(2))
    monkeypatch.setattr(np, "fromfile", lambda *args: np.zeros(3073, np.uint8))
    with pytest.raises(InputError, match="became shorter while it was read"):
        read_records(path)
