"""Files appear whole or not at all."""

import errno
import os

import pytest

from nin_gluon.atomic_files import replacing, write_ours, write_text
from nin_gluon.errors import InputError, WriteError
from tests.hostile_files import PLACES


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "größe 图.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError):
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_text_replaces_the_old(tmp_path):
    write_text(tmp_path / "a", "old")
    write_text(tmp_path / "a", "new 图")
    assert (tmp_path / "a").read_text("utf-8") == "new 图"


@pytest.mark.parametrize("number, words", [
    (errno.ENOSPC, "the disk is full; free some space"),
    (errno.EROFS, "the file system is read-only"),
    (errno.EACCES, "permission is denied"),
    (errno.EFBIG, "larger than this process may write"),
])
def test_a_refusal_names_the_file_and_what_to_do(tmp_path, monkeypatch, number, words):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "history.jsonl"
    write_text(path, "old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match=f"history.jsonl cannot be written: .*{words}") as told:
        write_text(path, "new")
    assert "Errno" not in str(told.value)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_has_gone_is_named(tmp_path):
    with pytest.raises(WriteError, match="gone cannot be written: it is not there"):
        write_text(tmp_path / "gone" / "a", "x")


def test_a_file_size_limit_is_a_clear_line_too(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "large"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(WriteError, match="large cannot be written: .*ulimit"):
            write_text(path, "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_nobody_elses_file_is_overwritten(tmp_path):
    path = tmp_path / "page.html"
    write_ours(path, b"made by us: 1", "made by us")
    write_ours(path, b"made by us: 2", "made by us")
    assert path.read_bytes() == b"made by us: 2"
    path.write_text("mine")
    with pytest.raises(InputError, match="move it away"):
        write_ours(path, b"made by us: 3", "made by us")
    assert path.read_text() == "mine"
    with pytest.raises(InputError, match="is a folder"):
        write_ours(tmp_path, b"made by us: 3", "made by us")


@pytest.mark.parametrize("kind", PLACES)
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    """And not read: a pipe's reader would wait for ever."""
    PLACES[kind](tmp_path / "it", None)
    with pytest.raises(InputError, match="it (is|cannot be read)"):
        write_ours(tmp_path / "it", b"by me", "by me")
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
