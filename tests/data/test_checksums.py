"""Whether a file is the published one, without reading more than that takes."""

import gzip
import hashlib
import tracemalloc

import pytest

from nin_gluon.data import checksums
from nin_gluon.data.checksums import is_genuine, md5
from nin_gluon.data.image_set import DataFile
from nin_gluon.errors import InputError

CONTENT = bytes(range(256)) * 700  # more than a chunk
FILE = DataFile("file.gz", (hashlib.sha1(CONTENT).hexdigest(),), len(CONTENT))


@pytest.fixture
def genuine(tmp_path):
    """Function of (content, file): whether a file with this content is taken for genuine."""
    def genuine(content, file=FILE):
        path = tmp_path / "file"
        path.write_bytes(content)
        return is_genuine(path, file)

    return genuine


def test_the_file_or_what_it_decompresses_to(genuine):
    assert genuine(CONTENT)
    assert genuine(gzip.compress(CONTENT)) and genuine(gzip.compress(CONTENT, 0))
    assert not genuine(CONTENT[:-1]) and not genuine(gzip.compress(CONTENT[1:]))
    assert not genuine(gzip.compress(CONTENT)[:-1]) and not genuine(b"")


def test_without_a_size_only_the_file_itself_counts(genuine):
    file = FILE._replace(size=None)
    assert genuine(CONTENT, file) and not genuine(gzip.compress(CONTENT), file)
    assert file.largest is None


@pytest.fixture
def decompressed(monkeypatch):
    """Bytes that came out of gzip streams, in a list."""
    counts = []

    class Counting(gzip.GzipFile):
        def read(self, size=-1):
            data = super().read(size)
            counts.append(len(data))
            return data

    monkeypatch.setattr(checksums.gzip, "GzipFile", Counting)
    return counts


def test_a_gzip_bomb_is_read_up_to_the_size_of_the_content(genuine, decompressed):
    bomb = gzip.compress(bytes(100_000_000), 1)
    file = FILE._replace(size=500_000)
    assert len(bomb) < file.largest
    tracemalloc.start()
    try:
        assert not genuine(bomb, file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(decompressed) <= file.size + checksums.CHUNK
    assert peak < 2_000_000


def test_a_byte_too_many_in_gzip(genuine, decompressed):
    assert not genuine(gzip.compress(CONTENT + b"x"))
    assert not genuine(gzip.compress(CONTENT) + gzip.compress(bytes(10**6)))
    assert genuine(gzip.compress(CONTENT) + gzip.compress(b""))


def test_a_file_that_is_much_too_large_is_not_read_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with open(path, "wb") as out:
        out.truncate(10**12)  # takes no room on the disk
    monkeypatch.setattr(checksums, "accepted", None)  # which would read it
    assert not is_genuine(path, FILE)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist; expected file.gz"):
        is_genuine(tmp_path / "nowhere", FILE)


def test_md5(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert md5(path) == hashlib.md5(CONTENT).hexdigest()
