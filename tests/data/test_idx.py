"""Reading IDX files: good ones in every form, and each way in which a file can be bad."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from nin_gluon.data.idx import read_idx
from nin_gluon.errors import InputError

SHAPE = (40, 9, 7)
IMAGES = np.random.RandomState(0).randint(0, 256, SHAPE).astype(np.uint8)
LABELS = (np.arange(40) % 10).astype(np.uint8)


def idx(array, magic=b"\0\0", type_code=8, sizes=None):
    """An IDX file's bytes; the parts of its header can be told to lie."""
    sizes = array.shape if sizes is None else sizes
    header = struct.pack(f">2sBB{len(sizes)}I", magic, type_code, len(sizes), *sizes)
    return header + array.tobytes()


GOOD = idx(IMAGES)
ZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.fixture
def refused(tmp_path):
    """A function that reads a file of these bytes and returns the message of the refusal."""

    def refused(content, name="images.gz", shape=SHAPE, classes=None):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_idx(path, shape, classes)
        message = str(caught.value)
        assert message.startswith(str(path))
        assert f"expected an IDX file of {' x '.join(map(str, shape))} bytes" in message
        assert "\n" not in message and len(message) < len(str(path)) + 300
        return message[len(str(path)) :]

    return refused


@pytest.mark.parametrize("name", ["images.gz", "images", "Bilder \u00fc\u4e2d.gz"])
@pytest.mark.parametrize("content", [GOOD, ZIPPED], ids=["plain", "gzip"])
def test_the_content_decides_how_a_file_is_read_and_not_its_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    for given in (path, str(path)):
        values = read_idx(given, SHAPE)
        assert values.dtype == np.uint8
        np.testing.assert_array_equal(values, IMAGES)


def test_values_are_the_callers_to_change(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(GOOD)
    values = read_idx(path, SHAPE)
    values += 1
    np.testing.assert_array_equal(read_idx(path, SHAPE), IMAGES)


def test_gzip_in_several_members_is_read_to_its_end(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(GOOD[:500]) + gzip.compress(GOOD[500:]))
    np.testing.assert_array_equal(read_idx(path, SHAPE), IMAGES)


def test_labels_are_read_up_to_the_last_class(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(LABELS)))
    np.testing.assert_array_equal(read_idx(path, (40,), classes=10), LABELS)


def test_label_out_of_range(refused):
    message = refused(idx(LABELS), shape=(40,), classes=9)
    assert "holds the label 9" in message and "from 0 to 8" in message


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="nowhere.gz does not exist; expected an IDX file"):
        read_idx(tmp_path / "nowhere.gz", SHAPE)


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_empty_file(refused, name):
    assert "is empty" in refused(b"", name)


@pytest.mark.parametrize("content", [
    b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 26421880\n",
    b"x",
], ids=["html", "pointer", "one letter"])
def test_text_named_as_gzip_shows_its_beginning(refused, content):
    message = refused(content)
    assert "is a text file" in message and repr(content[:12]) in message


@pytest.mark.parametrize("content", [b"PK\3\4" + GOOD, b"\0", b"\0\1" + GOOD[2:]],
                         ids=["zip", "one zero", "magic"])
def test_neither_gzip_nor_idx(refused, content):
    assert "is neither gzip nor IDX" in refused(content)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"hello", idx(IMAGES, magic=b"\1\0")],
                         ids=["nothing", "too little", "text", "magic"])
def test_gzip_of_something_else(refused, content):
    assert "does not start as an IDX file does" in refused(gzip.compress(content))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
class TestHeader:
    def test_wrong_type(self, refused, pack):
        message = refused(pack(idx(IMAGES, type_code=0x0D)))
        assert "type 0x0d" in message and "0x08" in message

    @pytest.mark.parametrize("array", [IMAGES[0], IMAGES[None]], ids=["fewer", "more"])
    def test_wrong_number_of_dimensions(self, refused, pack, array):
        assert f"has {array.ndim} dimensions, not 3" in refused(pack(idx(array)))

    def test_labels_in_place_of_images(self, refused, pack):
        assert "has 1 dimensions, not 3" in refused(pack(idx(LABELS)))

    @pytest.mark.parametrize("sizes", [(39, 9, 7), (40, 7, 9), (41, 9, 7), (0, 9, 7)])
    def test_wrong_sizes(self, refused, pack, sizes):
        message = refused(pack(idx(IMAGES, sizes=sizes)))
        assert f"says that it holds {' x '.join(map(str, sizes))} bytes" in message

    def test_four_billion_images_take_no_memory(self, refused, pack):
        content = pack(idx(IMAGES, sizes=(2**32 - 1, 9, 7)))
        tracemalloc.start()
        try:
            message = refused(content)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "4,294,967,295 x 9 x 7" in message
        assert peak < 1_000_000

    @pytest.mark.parametrize("surplus", [b"\0", bytes(100_000)], ids=["a byte", "many"])
    def test_surplus_bytes(self, refused, pack, surplus):
        assert "goes on after its last value" in refused(pack(GOOD + surplus))

    @pytest.mark.parametrize("kept", [4, 5, 8, 15], ids="{} bytes".format)
    def test_header_cut_short(self, refused, pack, kept):
        assert "ends early, within its header" in refused(pack(GOOD[:kept]))

    @pytest.mark.parametrize("values", [0, 1, IMAGES.size - 1])
    def test_values_cut_short(self, refused, pack, values):
        message = refused(pack(GOOD[: 16 + values]))
        assert f"ends early, after {values:,} of {IMAGES.size:,} values" in message


def test_a_gzip_bomb_is_not_unpacked(refused):
    bomb = gzip.compress(GOOD + bytes(30_000_000))
    tracemalloc.start()
    try:
        message = refused(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "goes on after its last value" in message
    assert peak < 2_000_000


@pytest.mark.parametrize("kept", [2, 3, 9, 10, 11, 20, len(ZIPPED) // 2, len(ZIPPED) - 9,
                                  len(ZIPPED) - 8, len(ZIPPED) - 4, len(ZIPPED) - 1])
def test_truncated_gzip(refused, kept):
    assert f"ends early (truncated at {kept:,} bytes)" in refused(ZIPPED[:kept])


def test_plain_file_with_one_byte_of_its_magic(refused):
    assert "does not start as an IDX file does" in refused(GOOD[:3], "images")


def flipped(content, place):
    """The bytes with one of them inverted."""
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize("content", [
    flipped(ZIPPED, 2),
    ZIPPED[:10] + b"\xff" * 200 + ZIPPED[210:],
    flipped(ZIPPED, len(ZIPPED) - 8),
    flipped(ZIPPED, len(ZIPPED) - 1),
    ZIPPED + b"something else",
], ids=["method", "deflate stream", "CRC", "length", "after the end"])
def test_corrupt_gzip(refused, content):
    assert "is a damaged gzip file" in refused(content)


def test_one_changed_value_in_gzip_does_not_get_through(refused):
    # Incompressible bytes are stored as they are, so only the CRC can tell.
    message = refused(flipped(gzip.compress(GOOD, 0), 1000))
    assert "is a damaged gzip file" in message and "CRC" in message
