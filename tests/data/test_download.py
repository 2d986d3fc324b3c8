"""Downloading the files of a made-up image set from a local server."""

import contextlib
import errno
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

import nin_gluon
from nin_gluon.data import download
from nin_gluon.data.download import DownloadError
from nin_gluon.data.load import load_arrays
from nin_gluon.errors import InputError, why
from tests.data.toys import (
    PLAIN,
    PUBLISHED,
    assert_toys,
    changed,
    data_files,
    error,
    in_turn,
    put,
    ranged,
    stalled,
    toy_set,
    whole,
)

pytestmark = pytest.mark.usefixtures("mxnet_datasets")


@pytest.mark.parametrize("page", [ranged, whole], ids=lambda page: page.__name__)
@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_files_are_downloaded_once(server, tmp_path, mxnet_toys, page, split):
    image_set = toy_set(server.offer(page))
    names = sorted(file.name for file in image_set.splits[split])
    for root, folder in ((None, mxnet_toys), (tmp_path / "new" / "root", tmp_path / "new/root")):
        server.asked.clear()
        assert_toys(image_set, split, root)
        assert sorted(path for path, _ in server.asked) == ["/" + name for name in names]
        assert data_files(folder) == names
        assert all((folder / name).read_bytes() == PUBLISHED[name] for name in names)
        assert_toys(image_set, split, root)
        assert len(server.asked) == len(names)
        for path in (folder / name for name in names):  # so that the next round finds nothing
            path.rename(path.parent.parent / path.name)


def test_only_what_is_missing_is_downloaded(server, tmp_path):
    root = put(tmp_path / "root", {"names": PLAIN["names.gz"]})
    assert_toys(toy_set(server.offer(ranged)), root=root)
    assert [path for path, _ in server.asked] == ["/pictures.gz"]
    assert data_files(root) == ["names", "pictures.gz"]


def test_a_source_without_the_file(server, mxnet_toys):
    assert_toys(toy_set(server.address + "/gone/", server.offer(ranged, "/second/")))
    assert [path for path, _ in server.asked] == [
        "/gone/pictures.gz", "/second/pictures.gz", "/gone/names.gz", "/second/names.gz"]
    assert data_files(mxnet_toys) == ["names.gz", "pictures.gz"]


@pytest.mark.parametrize("wrong", [
    b"<html>sign in to this network</html>", b"", gzip.compress(changed(PLAIN["names.gz"])),
    PUBLISHED["names.gz"][:-8], PUBLISHED["names.gz"][:-1],
], ids=["html", "nothing", "other content", "no trailer", "trailer cut"])
@pytest.mark.parametrize("page", [ranged, whole], ids=lambda page: page.__name__)
def test_a_source_that_sends_a_wrong_file(server, mxnet_toys, page, wrong):
    bad = server.offer(page, "/bad/", {**PUBLISHED, "names.gz": wrong})
    assert_toys(toy_set(bad, server.offer(page, "/good/")))
    assert data_files(mxnet_toys) == ["names.gz", "pictures.gz"]
    assert (mxnet_toys / "names.gz").read_bytes() == PUBLISHED["names.gz"]


def test_wrong_files_everywhere(server, mxnet_toys):
    bad = server.offer(ranged, contents={name: b"<html></html>" for name in PUBLISHED})
    with pytest.raises(DownloadError, match="sent another file"):
        load_arrays(toy_set(bad), "train")
    assert not mxnet_toys.exists()


def test_a_cut_connection_is_taken_up_where_it_broke_off(server, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 500)
    content = PUBLISHED["pictures.gz"]
    source = server.offer(ranged)
    server.pages["/pictures.gz"] = in_turn(ranged(content, 2600), ranged(content, 1800),
                                           ranged(content))
    assert_toys(toy_set(source))
    starts = [int(sent[6:-1]) for path, sent in server.asked if path == "/pictures.gz"]
    assert len(starts) == 3
    # What came in the last, unfinished chunk may be lost, but no more.
    assert starts[0] == 0 and 2100 <= starts[1] <= 2600
    assert starts[1] + 1300 <= starts[2] <= starts[1] + 1800
    sent = sum(n for path, n in server.sent if path == "/pictures.gz")
    assert len(content) <= sent <= len(content) + 2 * 500


def test_a_cut_connection_to_a_server_that_knows_no_ranges(server, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 500)
    content = PUBLISHED["pictures.gz"]
    source = server.offer(whole)
    server.pages["/pictures.gz"] = in_turn(whole(content, 2600), whole(content))
    assert_toys(toy_set(source))
    assert server.asked[1][1] not in (None, "bytes=0-")  # it was asked for the rest only


def test_a_source_that_is_always_cut_off(server, mxnet_toys, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 100)
    source = server.offer(lambda content: ranged(content, 300))
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(source), "train")
    assert "the connection was cut off" in caught.value.reason
    assert len(server.asked) == download.TRIES
    assert not (mxnet_toys / "pictures.gz").exists()
    # The next run goes on from there.
    server.offer(ranged)
    server.asked.clear()
    assert_toys(toy_set(source))
    assert int(server.asked[0][1][6:-1]) >= 300


def interrupted(server, source, folder):
    """The .part file that a run leaves which was cut off while it fetched the pictures."""
    server.pages["/pictures.gz"] = ranged(PUBLISHED["pictures.gz"], 2000)
    with pytest.raises(DownloadError):
        load_arrays(toy_set(source), "train")
    part, = folder.glob("pictures.gz.*.part")
    server.offer(ranged)
    server.asked.clear()
    return part


@pytest.mark.parametrize("kept", [1, 1000, len(PUBLISHED["pictures.gz"])])
def test_what_an_earlier_run_left_is_taken_up(server, mxnet_toys, kept):
    source = server.offer(ranged)
    part = interrupted(server, source, mxnet_toys)
    part.write_bytes(PUBLISHED["pictures.gz"][:kept])
    assert_toys(toy_set(source))
    assert server.asked == [("/pictures.gz", f"bytes={kept}-"), ("/names.gz", "bytes=0-")]
    assert data_files(mxnet_toys) == ["names.gz", "pictures.gz"]


@pytest.mark.parametrize("left", [
    b"", b"x" * 1000, b"x" * 100_000, PUBLISHED["pictures.gz"] + b"x",
], ids=["empty", "short", "long", "a byte too many"])
@pytest.mark.parametrize("page", [ranged, whole], ids=lambda page: page.__name__)
def test_what_an_earlier_run_left_may_be_wrong(server, mxnet_toys, page, left):
    source = server.offer(ranged)
    part = interrupted(server, source, mxnet_toys)
    part.write_bytes(left)
    server.offer(page)
    assert_toys(toy_set(source))
    assert len(server.asked) <= 3
    assert data_files(mxnet_toys) == ["names.gz", "pictures.gz"]


def test_a_range_that_is_refused_altogether(server, mxnet_toys):
    """As some servers do for an empty file; the next source serves."""
    bad = server.offer(lambda content: error(416), "/bad/")
    assert_toys(toy_set(bad, server.offer(ranged, "/good/")))
    with pytest.raises(DownloadError, match="HTTP status 416"):
        load_arrays(toy_set(bad), "test")


def test_a_busy_server_is_asked_again_and_a_refusing_one_is_not(server):
    content = PUBLISHED["pictures.gz"]
    source = server.offer(ranged)
    server.pages["/pictures.gz"] = in_turn(error(503), ranged(content))
    assert_toys(toy_set(source))
    assert [path for path, _ in server.asked] == 2 * ["/pictures.gz"] + ["/names.gz"]
    server.asked.clear()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*HTTP status 404"):
        load_arrays(toy_set(server.address + "/gone/"), "test")
    assert [path for path, _ in server.asked] == ["/gone/pictures.idx"]


def test_a_server_that_hangs_up_without_a_word_is_asked_once(server):
    source = server.offer(lambda content: lambda handler: None)
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(source), "train")
    assert caught.value.reason == "no connection" and len(server.asked) == 1


def test_a_server_that_falls_silent(server, mxnet_toys, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (2, 0.2))
    source = server.offer(ranged)
    server.pages["/pictures.gz"] = stalled(PUBLISHED["pictures.gz"])
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(source), "train")
    assert caught.value.reason == "timed out"
    assert not (mxnet_toys / "pictures.gz").exists()


def test_no_network(tmp_path, mxnet_toys, monkeypatch, closed_port):
    (tmp_path / "bare").mkdir()
    monkeypatch.setenv("NIN_GLUON_DATA", str(tmp_path / "bare"))
    second = closed_port.replace("127.0.0.1", "localhost")
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(closed_port, second), "train")
    message = str(caught.value)
    assert caught.value.reason == "no connection"
    for told in ("no Toys", "pictures.gz, names.gz not found", closed_port[7:-1], second[7:-1],
                 "--data-dir", "NIN_GLUON_DATA", str(mxnet_toys), str(tmp_path / "bare")):
        assert told in message
    assert "\n" not in message and "Traceback" not in message and "object at" not in message
    assert not mxnet_toys.parents[1].exists()
    assert list((tmp_path / "bare").iterdir()) == []


def test_no_network_leaves_no_folder_that_was_not_there(tmp_path, closed_port):
    (tmp_path / "mine").mkdir()
    for root in (tmp_path / "mistyped" / "folder", tmp_path / "mine"):
        with pytest.raises(DownloadError):
            load_arrays(toy_set(closed_port), "train", root)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_no_network_names_the_users_folder(tmp_path, closed_port):
    root = put(tmp_path / "root", {"pictures.gz": PUBLISHED["pictures.gz"]})
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(closed_port), "train", root)
    assert f"no Toys: names.gz not found in {root}" in str(caught.value)
    assert data_files(root) == ["pictures.gz"]


def assert_free(folder):
    """Nobody holds the lock of this folder."""
    with filelock.FileLock(folder / download.LOCK, timeout=0):
        pass


def test_no_place_to_download_to(server, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(server.offer(ranged)), "train", tmp_path / "file" / "data")
    assert_says_what_to_do(str(caught.value), tmp_path / "file", "a part of its path is a file")
    assert (tmp_path / "file").read_text() == "not a folder" and not server.asked


def assert_says_what_to_do(message, path, reason):
    assert f"pictures.gz could not be saved: {path}" in message
    assert f" cannot be written: {reason}" in message
    assert "Put the files there, or name their folder with --data-dir" in message
    assert "Errno" not in message and "\n" not in message


def test_a_folder_that_may_really_not_be_written(server, open_folder, as_user):
    root = open_folder / "root"
    root.mkdir(mode=0o555)
    with as_user(), pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(server.offer(ranged)), "train", root)
    assert_says_what_to_do(str(caught.value), root, "permission is denied; change the permissions")
    assert not list(root.iterdir()) and not server.asked


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_in_which_nothing_can_be_made(server, tmp_path, monkeypatch, number):
    root = put(tmp_path / "root", {})

    def refuse(path, *args, **options):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(download.filelock, "FileLock", refuse)
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(server.offer(ranged)), "train", root)
    assert_says_what_to_do(str(caught.value), root, caught.value.reason)
    assert caught.value.reason == why(OSError(number, ""))
    assert not list(root.iterdir()) and not server.asked


class FullDisk:
    """A file on a disk that has room for 2000 bytes more."""

    def __init__(self, path, mode):
        self.file, self.room = open(path, mode), 2000  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def seek(self, place):
        self.file.seek(place)

    def write(self, data):
        self.file.write(data[: self.room])
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "user's folder"])
def test_a_full_disk(server, tmp_path, monkeypatch, there):
    """The next run, with room again, goes on from what was written."""
    root = tmp_path / "root"
    if there:
        put(root, {"names.gz": PUBLISHED["names.gz"]})
    image_set = toy_set(server.offer(ranged))
    with monkeypatch.context() as patch:
        patch.setattr(download, "open", FullDisk, raising=False)
        patch.setattr(download, "CHUNK", 500)
        with pytest.raises(DownloadError) as caught:
            load_arrays(image_set, "train", root)
    assert_says_what_to_do(str(caught.value), root, "the disk is full; free some space")
    part, = root.glob("pictures.gz.*.part")
    assert part.read_bytes() == PUBLISHED["pictures.gz"][:2000]
    assert not (root / "pictures.gz").exists()
    assert_free(root)
    server.asked.clear()
    assert_toys(image_set, root=root)
    assert server.asked[0] == ("/pictures.gz", "bytes=2000-")


def test_a_disk_that_is_full_from_the_start_leaves_nothing(server, tmp_path, monkeypatch):
    def refuse(path, mode):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(download, "open", refuse, raising=False)
    with pytest.raises(DownloadError, match="the disk is full; free some space"):
        load_arrays(toy_set(server.offer(ranged)), "train", tmp_path / "new" / "root")
    assert not (tmp_path / "new").exists()


def test_a_user_who_interrupts_a_download_leaves_no_lock(server, mxnet_toys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    source = server.offer(ranged)
    with monkeypatch.context() as patch:
        patch.setattr(download, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_arrays(toy_set(source), "train")
    assert not mxnet_toys.exists()
    assert_toys(toy_set(source))


def test_a_source_that_sends_without_end(server, mxnet_toys):
    """A download stops at what the file can have, and the disk does not fill up."""
    def endless(content):
        def page(handler):
            handler.send_response(200)
            handler.end_headers()
            with contextlib.suppress(OSError):
                while not handler.server.over.is_set():
                    handler.wfile.write(bytes(1 << 16))
        return page

    bad = toy_set(server.offer(endless, "/bad/"))
    with pytest.raises(DownloadError, match="sent another file"):
        load_arrays(bad, "train")
    assert not mxnet_toys.exists()
    assert_toys(toy_set(*bad.sources, server.offer(ranged, "/good/")))
    assert data_files(mxnet_toys) == ["names.gz", "pictures.gz"]


def test_something_in_the_way_of_the_partial_file(server, mxnet_toys):
    source = server.offer(ranged)
    part = interrupted(server, source, mxnet_toys)
    part.unlink()
    os.mkfifo(part)  # writing to it would wait for a reader for ever
    with pytest.raises(InputError, match=re.escape(f"{part} is a pipe, not a file")):
        load_arrays(toy_set(source), "train")
    assert not server.asked
    assert_free(mxnet_toys)


def test_what_appears_while_the_lock_is_waited_for_must_be_a_file(server, tmp_path, monkeypatch):
    image_set, root = toy_set(server.offer(ranged)), tmp_path / "root"
    real = download.filelock.FileLock

    def lock(path):
        (root / "pictures.gz").mkdir()
        return real(path)

    monkeypatch.setattr(download.filelock, "FileLock", lock)
    with pytest.raises(InputError, match="pictures.gz is a folder, not a file"):
        load_arrays(image_set, "train", root)


DOWNLOADER = """
import json, sys
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.load import locate

source, root, wanted = json.loads(sys.argv[1])
toys = ImageSet("toys", "Toys", (), {}, None, (source,))
print("ready", flush=True)
sys.stdin.readline()
locate(toys, [DataFile(name, tuple(sums), size) for name, sums, size in wanted], root)
"""


def test_two_processes_fetch_a_file_once(server, tmp_path):
    def slowly(content):
        def page(handler):
            server.over.wait(0.2)  # long enough for the other process to come to the same point
            ranged(content)(handler)
        return page

    image_set = toy_set(server.offer(slowly))
    job = json.dumps([image_set.sources[0], str(tmp_path / "root"), image_set.splits["train"]])
    env = {**os.environ, "PYTHONPATH": str(Path(nin_gluon.__file__).parents[1])}
    processes = [subprocess.Popen([sys.executable, "-c", DOWNLOADER, job], env=env, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                 for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(20) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sorted(path for path, _ in server.asked) == ["/names.gz", "/pictures.gz"]
    assert_toys(image_set, root=tmp_path / "root")
