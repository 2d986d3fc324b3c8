"""Files of arrays: what others write is read to the bit, and nothing in them is trusted."""

import json
import struct

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from safetensors.numpy import load_file, save_file

from nin_gluon.array_files import (
    BFLOAT16,
    read_params,
    read_safetensors,
    write_safetensors,
)

BITS = np.array([[0, 1, 0x3F80, 0x7F80], [0x7FC1, 0x8000, 0xFF80, 0xFFFF]], np.uint16)
ARRAYS = {
    "single": np.array([[1.5, -0.0, np.inf], [1e-45, np.nan, 3.4e38]], np.float32),
    "double": np.array([np.pi]),
    "half": BITS.view(np.float16),
    "brain": BITS.view(BFLOAT16),
}


def anything(entries):
    pass


def same_bits(mine, theirs):
    assert list(mine) == list(theirs) or sorted(mine) == sorted(theirs)
    for name, array in theirs.items():
        assert (mine[name].dtype, mine[name].shape) == (array.dtype, array.shape)
        assert mine[name].tobytes() == array.tobytes()


def test_safetensors_bring_back_every_bit(tmp_path):
    write_safetensors(tmp_path / "a", ARRAYS)
    same_bits(read_safetensors(tmp_path / "a", 1000, anything), ARRAYS)


def test_the_packages_own_files_are_read_and_ours_by_it(tmp_path):
    arrays = {name: ARRAYS[name] for name in ("single", "double", "half")}
    save_file(arrays, tmp_path / "theirs", {"about": "a note"})
    same_bits(read_safetensors(tmp_path / "theirs", 1000, anything), arrays)
    write_safetensors(tmp_path / "ours", arrays)
    same_bits(load_file(tmp_path / "ours"), arrays)


def test_bfloat16_is_bfloat16_to_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    write_safetensors(tmp_path / "a", {"brain": ARRAYS["brain"]})
    read = load_file(tmp_path / "a")["brain"]
    assert read.dtype == torch.bfloat16
    np.testing.assert_array_equal(read.view(torch.int16).numpy().view(np.uint16), BITS)


def test_mxnets_files_are_read_to_the_bit(tmp_path):
    path = tmp_path / "net.params"
    nd.save(str(path), {name: nd.array(a, dtype=a.dtype) for name, a in ARRAYS.items()})
    same_bits(read_params(path, 1000, anything), ARRAYS)
    nd.save(str(path), [nd.zeros(3)])
    with pytest.raises(ValueError, match="as many names"):
        read_params(path, 1000, anything)


@pytest.mark.parametrize("arrays", [
    {"a": nd.zeros((2, 2), dtype="int32")},
    {"a": nd.zeros((2, 2)).tostype("row_sparse")},
    {"a": nd.zeros((2, 2)).tostype("csr")},
])
def test_other_kinds_of_arrays_are_refused(tmp_path, arrays):
    path = tmp_path / "net.params"
    nd.save(str(path), arrays)
    with pytest.raises(ValueError, match="net.params: an array is not "):
        read_params(path, 1000, anything)


@pytest.mark.parametrize("read, write", [
    (read_params, lambda path, a: nd.save(str(path), {n: mx.nd.array(x) for n, x in a.items()})),
    (read_safetensors, write_safetensors)])
def test_the_caller_decides_before_data_is_read(tmp_path, read, write):
    path = tmp_path / "file"
    write(path, {"a": np.zeros((10, 5), np.float32), "b": np.ones(3, np.float32)})
    seen = []

    def refuse(entries):
        seen.extend((entry.name, entry.shape, entry.dtype, entry.nbytes) for entry in entries)
        raise ValueError("not these")

    with pytest.raises(ValueError, match="file: not these"):
        read(path, 1000, refuse)
    assert seen == [("a", (10, 5), np.float32, 200), ("b", (3,), np.float32, 12)]


HUGE = [2**31, 2**40, 2**62, 2**63, 2**64 - 1]


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("at", [16, 36, 44, 80])  # count, sizes, first after the data
def test_huge_lengths_in_params_are_refused(tmp_path, at, number):
    path = tmp_path / "net.params"
    nd.save(str(path), {"a": nd.zeros((2, 2))})
    data = bytearray(path.read_bytes())
    data[at : at + 8] = struct.pack("<Q", number)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"net\.params: "):
        read_params(path, 1000, anything)


def safetensors_file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def array(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("content", [
    b"", b"1234567", struct.pack("<Q", 2**64 - 1), struct.pack("<Q", 2**40) + b"{}",
    safetensors_file([]), safetensors_file(b"{"), safetensors_file(b"\xff"),
    safetensors_file(b"[" * 100_000),
    safetensors_file({}, b"left over"),
    safetensors_file({"a": array()}),
    safetensors_file({"a": array()}, b"12345"),
    safetensors_file({"a": array(dtype="I32")}, b"1234"),
    safetensors_file({"a": array(dtype=["F32"])}, b"1234"),
    safetensors_file({"a": array(shape=[-1])}, b"1234"),
    safetensors_file({"a": array(shape=[2**62, 2**62])}, b"1234"),
    safetensors_file({"a": array(shape=[1] * 100)}, b"1234"),
    safetensors_file({"a": array(shape=[True])}, b"1234"),
    safetensors_file({"a": array(shape=[1.0])}, b"1234"),
    safetensors_file({"a": array(offsets=[0, 4, 8])}, b"1234"),
    safetensors_file({"a": array(offsets=[-4, 0])}, b"1234"),
    safetensors_file({"a": array(), "b": array()}, b"1234"),
    safetensors_file({"a": array(), "b": array(offsets=[8, 12])}, b"123456789012"),
    safetensors_file({"a": {**array(), "more": 1}}, b"1234"),
    safetensors_file({"a": None}, b"1234"),
    safetensors_file(b'{"a": %s, "a": %s}' % (2 * (json.dumps(array()).encode(),)), b"1234"),
])
def test_wrong_safetensors_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="file(: | is empty)"):
        read_safetensors(tmp_path / "file", 1000, anything)


def test_a_file_larger_than_expected_is_not_opened(tmp_path):
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    for read in (read_params, read_safetensors):
        with pytest.raises(ValueError, match=r"has 1,099,511,627,776 bytes and should have"):
            read(path, 1000, anything)
