"""Finding, verifying and downloading the files of a made-up image set, from a local server."""

import gzip
import hashlib
import http.server
import json
import logging
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import nin_gluon
from nin_gluon.data import files
from nin_gluon.data.download import DataFile, DownloadError, ImageSet, load_arrays, locate
from nin_gluon.data.idx import read_idx
from nin_gluon.errors import InputError

RANDOM = np.random.RandomState(0)
PICTURES = RANDOM.randint(0, 256, (50, 12, 10)).astype(np.uint8)
NAMES = RANDOM.randint(0, 3, 50).astype(np.uint8)


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


PLAIN = {"pictures.gz": idx(PICTURES), "names.gz": idx(NAMES)}
# As published: `train` is compressed and `test` is not.
PUBLISHED = {name: gzip.compress(content, mtime=0) for name, content in PLAIN.items()}
PUBLISHED.update({"pictures.idx": idx(PICTURES[::-1]), "names.idx": idx(NAMES[::-1])})


def md5(content):
    return hashlib.md5(content).hexdigest()


def read_toys(paths, split):
    return read_idx(paths[0], PICTURES.shape)[..., np.newaxis], read_idx(paths[1], (50,), classes=3)


def toy_set(*sources):
    """An image set of other files than Fashion-MNIST's, one split of them uncompressed."""

    def file(name):
        return DataFile(name, (md5(PUBLISHED[name]), md5(PLAIN.get(name, PUBLISHED[name]))))

    return ImageSet("toys", "Toys", ("car", "ball", "doll"),
                    {"train": (file("pictures.gz"), file("names.gz")),
                     "test": (file("pictures.idx"), file("names.idx"))}, read_toys, sources)


@pytest.fixture(autouse=True)
def mxnet_toys(tmp_path, monkeypatch):
    """MXNet's folder for the set, in an environment that names no other and no proxy."""
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet home"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "mxnet home" / "datasets" / "toys"


def put(folder, contents=PUBLISHED):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def assert_toys(image_set, split="train", root=None):
    images, labels = load_arrays(image_set, split, root)
    step = 1 if split == "train" else -1
    np.testing.assert_array_equal(images, PICTURES[::step, ..., np.newaxis])
    np.testing.assert_array_equal(labels, NAMES[::step])


def folders_found(split="train", root=None):
    image_set = toy_set()
    return {path.parent for path in locate(image_set, image_set.splits[split], root)}


# ------------------------------------------------------------------ a server


class Server(http.server.ThreadingHTTPServer):
    """Sends `pages`, path -> function of the handler, and keeps a record of what was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked, self.sent = {}, [], []
        self.over = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def offer(self, page, folder="/", contents=PUBLISHED):
        """Offer every file by this kind of page; return the address of the folder."""
        for name, content in contents.items():
            self.pages[folder + name] = page(content)
        return self.address + folder


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.pages.get(self.path, error(404))(self)

    def send(self, status, content, length=None, **headers):
        self.send_response(status)
        length = len(content) if length is None else length
        for name, value in {"Content_Length": length, **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        self.server.sent.append((self.path, len(content)))

    def first_byte(self):
        return int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])

    def log_message(self, *args):
        pass


def error(status):
    return lambda handler: handler.send(status, b"<html>not here</html>")


def whole(content, at_most=None):
    """A page of a server that knows no ranges; it can cut the connection."""
    return lambda handler: handler.send(200, content[:at_most], len(content))


def ranged(content, at_most=None):
    """A page of a server that sends the range it is asked for; it can cut the connection."""

    def page(handler):
        first, last = handler.first_byte(), len(content) - 1
        if first > last:
            handler.send(416, b"", Content_Range=f"bytes */{len(content)}")
        else:
            rest = content[first:]
            handler.send(206, rest[:at_most], len(rest),
                         Content_Range=f"bytes {first}-{last}/{len(content)}")

    return page


def in_turn(*pages):
    """Each request meets the next of these pages, the last one again and again."""
    left = list(pages)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def stalled(content):
    """A page of a server that sends a half and then nothing more."""

    def page(handler):
        first = handler.first_byte()
        half = content[first : first + (len(content) - first) // 2]
        handler.send(206, half, len(content) - first)
        handler.server.over.wait(5)

    return page


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


def data_files(folder):
    """Names of all there is in a folder but the lock."""
    return sorted(p.name for p in folder.iterdir() if p.name != ".download.lock")


# ------------------------------------------------------------------ finding


@pytest.mark.parametrize("split", ["train", "test"])
def test_root_is_the_folder_of_the_files_or_the_one_above_it(tmp_path, split):
    folder = put(tmp_path / "data" / "toys")
    for root in (folder, folder.parent, str(folder)):
        assert_toys(toy_set(), split, root)


def test_search_order(tmp_path, monkeypatch, mxnet_toys):
    in_root, in_env = put(tmp_path / "root" / "toys"), put(tmp_path / "env" / "toys")
    put(mxnet_toys)
    monkeypatch.setenv("NIN_GLUON_DATA", str(in_env.parent))
    assert folders_found(root=tmp_path / "root") == {in_root}
    assert folders_found() == {in_env}
    monkeypatch.setenv("NIN_GLUON_DATA", str(in_env))
    assert folders_found() == {in_env}
    monkeypatch.delenv("NIN_GLUON_DATA")
    assert folders_found() == {mxnet_toys}


def test_files_elsewhere_are_used_with_a_notice(tmp_path, monkeypatch, mxnet_toys, caplog):
    root = put(tmp_path / "root", {"pictures.gz": PUBLISHED["pictures.gz"]})
    put(mxnet_toys)
    with caplog.at_level(logging.WARNING, "nin_gluon"):
        assert folders_found(root=root) == {root, mxnet_toys}
    notice, = caplog.messages
    assert notice == f"{root} does not hold all of Toys; using {mxnet_toys}"


def test_no_notice_when_the_users_folder_holds_all(tmp_path, mxnet_toys, caplog, monkeypatch):
    put(tmp_path / "here" / "toys")
    monkeypatch.chdir(tmp_path / "here")
    with caplog.at_level(logging.WARNING, "nin_gluon"):
        for root in (".", "toys", "../here", tmp_path / "here" / "toys"):
            assert_toys(toy_set(), root=root)
    assert not caplog.messages


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = put(tmp_path / "mine" / "toys")
    assert folders_found(root="~/mine") == {folder}
    monkeypatch.setenv("NIN_GLUON_DATA", "~/mine")
    assert folders_found() == {folder}
    monkeypatch.delenv("NIN_GLUON_DATA")
    folder = put(tmp_path / "other" / "datasets" / "toys")
    monkeypatch.setenv("MXNET_HOME", "~/other")
    assert folders_found() == {folder}


def test_without_mxnet_home_mxnets_default_is_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for unset in (lambda: monkeypatch.setenv("MXNET_HOME", ""),
                  lambda: monkeypatch.delenv("MXNET_HOME")):
        unset()
        assert files.mxnet_folder(toy_set()) == tmp_path / ".mxnet" / "datasets" / "toys"


@pytest.mark.parametrize("said_by", ["root", "NIN_GLUON_DATA"])
def test_a_data_folder_that_is_a_file(tmp_path, monkeypatch, said_by):
    path = tmp_path / "pictures.gz"
    path.write_bytes(PUBLISHED["pictures.gz"])
    if said_by == "NIN_GLUON_DATA":
        monkeypatch.setenv("NIN_GLUON_DATA", str(path))
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(), "train", path if said_by == "root" else None)
    assert f"{path} is a file" in str(caught.value) and "folder" in str(caught.value)
    assert said_by == "root" or "NIN_GLUON_DATA" in str(caught.value)
    assert path.read_bytes() == PUBLISHED["pictures.gz"]


# ------------------------------------------------------------------ verifying


@pytest.mark.parametrize("form", [
    pytest.param({name[:-3]: content for name, content in PLAIN.items()}, id="unpacked"),
    pytest.param(PLAIN, id="unpacked, the name kept"),
    pytest.param({name: gzip.compress(content, 1) for name, content in PLAIN.items()}, id="fast"),
    pytest.param({name: gzip.compress(content[:99]) + gzip.compress(content[99:])
                  for name, content in PLAIN.items()}, id="in members"),
])
def test_every_form_of_the_right_content_is_accepted(tmp_path, form):
    assert_toys(toy_set(), root=put(tmp_path / "toys", form))


def changed(content):
    """The IDX file with its last value changed to another that is in range."""
    return content[:-1] + bytes([(content[-1] + 1) % 3])


@pytest.mark.parametrize("name, content, says", [
    ("pictures.gz", PUBLISHED["pictures.gz"][:3000], "ends early"),
    ("pictures.gz", b"<html>sign in to this network</html>", "is a text file"),
    ("pictures.gz", b"", "is empty"),
    ("pictures.gz", PUBLISHED["names.gz"], "has 1 dimensions, not 3"),
    ("pictures.gz", gzip.compress(changed(PLAIN["pictures.gz"])), "not its content"),
    ("names.gz", gzip.compress(changed(PLAIN["names.gz"])), "not its content"),
    ("names.gz", changed(PLAIN["names.gz"]), "not its content"),
    ("names.gz", gzip.compress(PLAIN["names.gz"][:-1] + b"\3"), "holds the label 3"),
], ids=["truncated", "html", "empty", "labels", "pixel", "label", "label unpacked", "out of range"])
@pytest.mark.parametrize("place", ["root", "NIN_GLUON_DATA", "MXNet"])
def test_a_bad_file_is_named_and_left_alone(server, tmp_path, monkeypatch, mxnet_toys, place,
                                            name, content, says):
    folder = put(mxnet_toys if place == "MXNet" else tmp_path / "own",
                 {**PUBLISHED, name: content})
    if place == "NIN_GLUON_DATA":
        monkeypatch.setenv("NIN_GLUON_DATA", str(folder))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(server.offer(ranged)), "train", folder if place == "root" else None)
    message = str(caught.value)
    assert str(folder / name) in message and says in message and "expected" in message
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert not server.asked


# ------------------------------------------------------------------ downloading


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
    monkeypatch.setattr(files, "CHUNK", 500)
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
    monkeypatch.setattr(files, "CHUNK", 500)
    content = PUBLISHED["pictures.gz"]
    source = server.offer(whole)
    server.pages["/pictures.gz"] = in_turn(whole(content, 2600), whole(content))
    assert_toys(toy_set(source))
    assert server.asked[1][1] not in (None, "bytes=0-")  # it was asked for the rest only


def test_a_source_that_is_always_cut_off(server, mxnet_toys, monkeypatch):
    monkeypatch.setattr(files, "CHUNK", 100)
    source = server.offer(lambda content: ranged(content, 300))
    with pytest.raises(DownloadError) as caught:
        load_arrays(toy_set(source), "train")
    assert "the connection was cut off" in caught.value.reason
    assert len(server.asked) == files.TRIES
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
    monkeypatch.setattr(files, "TIMEOUT", (2, 0.2))
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


def test_a_folder_in_the_environment_that_is_not_there(tmp_path, mxnet_toys, monkeypatch):
    monkeypatch.setenv("NIN_GLUON_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="NIN_GLUON_DATA names .*nowhere, which does not exist"):
        load_arrays(toy_set(), "train")


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


def test_no_place_to_download_to(server, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((OSError, InputError), match="file"):
        load_arrays(toy_set(server.offer(ranged)), "train", tmp_path / "file" / "data")
    assert (tmp_path / "file").read_text() == "not a folder" and not server.asked


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(server, tmp_path):
    root = tmp_path / "root"
    root.mkdir(mode=0o500)
    with pytest.raises(OSError, match="root"):
        load_arrays(toy_set(server.offer(ranged)), "train", root)
    assert not list(root.iterdir())


DOWNLOADER = """
import json, sys
from nin_gluon.data.download import DataFile, ImageSet, locate

source, root, wanted = json.loads(sys.argv[1])
toys = ImageSet("toys", "Toys", (), {}, None, (source,))
print("ready", flush=True)
sys.stdin.readline()
locate(toys, [DataFile(name, tuple(checksums)) for name, checksums in wanted], root)
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
