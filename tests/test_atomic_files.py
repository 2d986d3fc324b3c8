"""Files appear whole or not at all."""

import pytest

from nin_gluon.atomic_files import replacing, write_text


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
