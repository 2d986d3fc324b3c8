"""A made-up image set of small files, and a server that offers them, well or badly."""

import gzip
import hashlib
import http.server
import re
import struct
import threading

import numpy as np

from nin_gluon.data.idx import read_idx
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.load import load_arrays, locate

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
        content = PLAIN.get(name, PUBLISHED[name])
        return DataFile(name, (md5(PUBLISHED[name]), md5(content)), len(content))

    return ImageSet("toys", "Toys", ("car", "ball", "doll"),
                    {"train": (file("pictures.gz"), file("names.gz")),
                     "test": (file("pictures.idx"), file("names.idx"))}, read_toys, sources)


def folders_found(split="train", root=None):
    """The folders in which the files of a split are."""
    image_set = toy_set()
    return {path.parent for path in locate(image_set, image_set.splits[split], root)}


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


def changed(content):
    """The IDX file with its last value changed to another that is in range."""
    return content[:-1] + bytes([(content[-1] + 1) % 3])


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


def data_files(folder):
    """Names of all there is in a folder but the lock."""
    return sorted(p.name for p in folder.iterdir() if p.name != ".download.lock")
