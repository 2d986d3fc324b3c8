"""Finding, verifying and downloading the files of an image set.

Written for image sets in general: an `ImageSet` says which files there are, what their checksums
are and where they come from; nothing here knows about a particular one.
"""

import contextlib
import functools
import gzip
import hashlib
import logging
import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

import filelock
import requests
from tqdm import tqdm

from nin_gluon.atomic_files import replacing
from nin_gluon.errors import InputError

__all__ = ["DataFile", "DownloadError", "ImageSet", "fingerprint", "load_arrays", "locate"]

log = logging.getLogger("nin_gluon")

TIMEOUT = (5, 30)  # seconds to connect, seconds without a byte
TRIES = 3  # a source; each takes up where the last stopped
CHUNK = 1 << 16  # bytes


class DataFile(NamedTuple):
    """One file of an image set."""

    name: str  # as it is published
    # Hex digests (MD5 or SHA-1) of every form that is accepted: as published, as compressed
    # again by others, and of the uncompressed content.
    checksums: Tuple[str, ...]


class ImageSet(NamedTuple):
    """Description of an image set."""

    name: str  # also the name of its folder
    title: str
    classes: Tuple[str, ...]
    splits: Dict[str, Tuple[DataFile, ...]]  # the files of "train" and of "test"
    # (paths of a split's files, split) -> images (n, height, width, channels) uint8 and labels
    # (n,) uint8; raises InputError for files that are not of the right form.
    read: Callable
    sources: Tuple[str, ...]  # addresses that a file's name is appended to
    archive: Optional[DataFile] = None  # the one file in which all of them are published
    folders: Tuple[str, ...] = ()  # other names of its folder
    own: bool = False  # whether files of the right form but other content are used, with a notice


class DownloadError(InputError):
    """A file is not at hand and could not be downloaded.

    Attributes
    ----------
    reason : str
        Why not, in a few words.
    """

    def __init__(self, message, reason):
        super().__init__(message)
        self.reason = reason


def load_arrays(image_set, split, root=None):
    """Find (or download), check and read one split of an image set.

    Parameters
    ----------
    image_set : ImageSet
    split : {"train", "test"}
    root : str or Path, optional
        The user's own folder; see `folders`.

    Returns
    -------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), uint8

    Raises
    ------
    InputError
        A file is damaged, truncated or foreign.
    DownloadError
        A file is missing and cannot be downloaded.
    """
    if image_set.own:
        paths = own_files(image_set, split, root)
        if paths:
            images, labels = image_set.read(paths, split)
            names = ", ".join(map(str, paths))
            notice(f"{names}: not the official {image_set.title}; using these "
                   f"{len(images):,} images as the {split}{'ing' * (split == 'train')} set")
            return images, labels
    files = image_set.splits[split]
    paths = locate(image_set, files, root)
    images_and_labels = image_set.read(paths, split)
    for file, path in zip(files, paths):
        # Where files of another content are used, `locate` has looked at them already.
        if not image_set.own and not is_genuine(path, file):
            raise InputError(
                f"{path} has the form of a file of {image_set.title} but not its content; "
                f"expected checksum {file.checksums[0]}. Put the right file there, or move this "
                "one away so that it is looked for elsewhere and downloaded."
            )
    return images_and_labels


# ------------------------------------------------------------------ finding


def folders(image_set, root=None):
    """Where files are looked for, in this order.

    `root` (``--data-dir``), the environment variable ``NIN_GLUON_DATA``, and MXNet's own data
    folder. The first two may be the folder of the files or the one above it.
    """
    said = {"the data folder": root, "NIN_GLUON_DATA": os.environ.get("NIN_GLUON_DATA")}
    for said_by, place in said.items():
        if not place:
            continue
        folder = Path(place).expanduser()
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{said_by} {folder} is a file; give the folder that holds the "
                             f"files of {image_set.title}.")
        if said_by == "NIN_GLUON_DATA" and not folder.exists() and not root:
            raise InputError(f"NIN_GLUON_DATA names {folder}, which does not exist; correct it or "
                             "take it out of the environment.")
        yield from (folder / name for name in (image_set.name, *image_set.folders, ""))
    yield mxnet_folder(image_set)


def mxnet_folder(image_set):
    """MXNet's own folder for this set, where Gluon's data set classes keep their files."""
    home = os.environ.get("MXNET_HOME") or "~/.mxnet"
    return Path(home, "datasets", image_set.name).expanduser()


@functools.lru_cache(maxsize=None)
def notice(text):
    """Tell the user, through logging; once, though both splits of a set have reason to."""
    log.warning(text)


def find(file, places, accept=lambda path: True):
    """The first accepted path that holds the file, compressed as published or not, or None."""
    names = (file.name, file.name[:-3]) if file.name.endswith(".gz") else (file.name,)
    paths = (place / name for place in places for name in names)
    return next((path for path in paths if path.is_file() and accept(path)), None)


def own_files(image_set, split, root=None):
    """Paths of a split in a set of the user's own; an empty list if the user has none.

    Official files, from elsewhere or downloaded, are not mixed into it.
    """
    there = own_set(image_set, root)
    paths = [there[file] for file in image_set.splits[split] if file in there]
    if there and not paths:
        foreign = next(path for file, path in there.items() if not is_genuine(path, file))
        raise InputError(
            f"{foreign} is not the official {image_set.title}, so {foreign.parent} holds a set of "
            f"your own, but it lacks {image_set.splits[split][0].name}; put that there too, or "
            "move the set away for the official one to be used."
        )
    return paths


def own_set(image_set, root=None):
    """A set of the user's own, both splits: {file: path}; an empty dict if the user has none.

    The first place with any of the files decides. If one of them is not as published, that place
    holds a set of the user's own, and what is there is all there is of it.
    """
    for place in folders(image_set, root):
        there = {file: place / file.name for files in image_set.splits.values() for file in files
                 if (place / file.name).is_file()}
        if there:
            official = all(is_genuine(path, file) for file, path in there.items())
            return {} if official else there
    return {}


def fingerprint(image_set, root=None):
    """Eight hex digits that tell a set of the user's own from others; None for the published one.
    """
    paths = own_set(image_set, root).values() if image_set.own else ()
    sums = [hashlib.md5(path.read_bytes()).hexdigest() for path in paths]
    return hashlib.md5("".join(sums).encode()).hexdigest()[:8] if sums else None


def locate(image_set, files, root=None):
    """Paths of the files, in their order; what is nowhere is downloaded.

    Downloads go to `root` if the user named one, else to MXNet's data folder.
    """
    places = list(folders(image_set, root))
    # Where a user may have files of their own, those are passed over.
    paths = [find(file, places, lambda path, file=file: not image_set.own or is_genuine(path, file))
             for file in files]
    elsewhere = [path.parent for path in paths
                 if root and path and Path(root).expanduser() not in path.parents]
    if elsewhere:
        notice(f"{root} does not hold all of {image_set.title}; using {elsewhere[0]}")
    if None in paths:
        folder = Path(root).expanduser() if root else mxnet_folder(image_set)
        missing = [file for file, path in zip(files, paths) if path is None]
        try:
            archive = image_set.archive and (find(image_set.archive, places)
                                             or download(image_set, image_set.archive, folder))
            new = iter(unpack(image_set, archive, missing) if archive
                       else [download(image_set, file, folder) for file in missing])
            paths = [path or next(new) for path in paths]
        except DownloadError as error:
            names = ", ".join(file.name for file in missing)
            where = f"{root} or the other places" if root else ", ".join(map(str, places))
            error.args = (
                f"no {image_set.title}: {names} not found in {where}, and {error} Put "
                + (f"that file, from {image_set.sources[0]}, " if image_set.archive
                   else "the files ")
                + "there, or name their folder with --data-dir or NIN_GLUON_DATA.",
            )
            raise
    return paths


# ------------------------------------------------------------------ verifying


def is_genuine(path, file):
    """Whether the file, or what it decompresses to, has one of the accepted checksums."""

    def accepted(chunks):
        sums = hashlib.md5(), hashlib.sha1()
        for chunk in chunks:
            for checksum in sums:
                checksum.update(chunk)
        return any(checksum.hexdigest() in file.checksums for checksum in sums)

    with open(path, "rb") as stream:
        if accepted(iter(lambda: stream.read(CHUNK), b"")):
            return True
        stream.seek(0)
        # To its very end, as it will be read: a cut or an addition there is no part of the content.
        with contextlib.suppress(gzip.BadGzipFile, EOFError, zlib.error):
            content = gzip.GzipFile(fileobj=stream)
            return accepted(iter(lambda: content.read(CHUNK), b""))
    return False


# ------------------------------------------------------------------ unpacking


def unpack(image_set, archive, files):
    """Take files out of the archive, to beside it or else to MXNet's folder; return their paths.

    Raises
    ------
    InputError
        The archive is damaged or another, or another file is in the way.
    """
    if not is_genuine(archive, image_set.archive):
        raise InputError(
            f"{archive} is not the published archive of {image_set.title}, or is damaged; expected "
            f"checksum {image_set.archive.checksums[0]}. Put the right one there, or move this one "
            "away so that it is downloaded."
        )
    folder = archive.parent if os.access(archive.parent, os.W_OK) else mxnet_folder(image_set)
    folder.mkdir(parents=True, exist_ok=True)
    targets = {file.name: folder / file.name for file in files}
    for target in targets.values():
        if target.exists():
            raise InputError(f"{target} is in the way of the official {image_set.title}: it has "
                             "another content; move it away.")
    with tarfile.open(archive) as tar:
        for member in tar:  # one pass: going back would decompress all once more
            target = targets.get(Path(member.name).name)
            if member.isfile() and target:
                with replacing(target) as temporary, open(temporary, "wb") as out:
                    shutil.copyfileobj(tar.extractfile(member), out)
    return list(targets.values())


# ------------------------------------------------------------------ downloading


def download(image_set, file, folder):
    """Fetch one file into the folder and return its path.

    It is written beside its place, taken up again where it broke off, and renamed into place once
    its checksum holds. A lock keeps two processes from fetching the same file at once. A folder
    that was made for nothing is taken away again.
    """
    target, failures = folder / file.name, {}
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    lock = folder / ".download.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock):
            if target.exists():  # another process was faster
                return target
            for source in image_set.sources:
                try:
                    if fetch_genuine(source, file, target):
                        return target
                    failures[urlsplit(source).netloc] = "sent another file"
                except requests.RequestException as error:
                    failures[urlsplit(source).netloc] = short(error)
    except OSError as error:  # a read-only folder, a full disk
        failures[str(folder)] = error.strerror or str(error)
    with contextlib.suppress(OSError):  # with part of a file in it, say
        if made and os.listdir(folder) == [lock.name]:
            lock.unlink()
        for place in made:
            place.rmdir()
    reasons = "; ".join(f"{place}: {reason}" for place, reason in failures.items())
    raise DownloadError(f"{file.name} could not be downloaded ({reasons}).",
                        ", ".join(dict.fromkeys(failures.values())))


def fetch_genuine(source, file, target):
    """Download the file beside `target` and move it there; False if it is not the right one."""
    part = target.with_name(f"{file.name}.{zlib.crc32(source.encode()):08x}.part")
    # What an earlier run left may be the wrong part: then once more, from nothing.
    for _ in range(1 + part.exists()):
        fetch(source + file.name, part)
        if is_genuine(part, file):
            os.replace(part, target)
            return True
        part.unlink()
    return False


def fetch(url, part):
    """Download `url` into the file `part`, going on from what is already in it."""
    # `identity`: the file as it is, for its length and its checksum are what we check.
    for attempt in range(1, TRIES + 1):
        have = part.stat().st_size if part.exists() else 0
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT,
                              headers={"Accept-Encoding": "identity", "Range": f"bytes={have}-"},
                              ) as reply:
                if reply.status_code == 416 and have:  # nothing beyond that: it was complete
                    return
                reply.raise_for_status()
                resumed = reply.status_code == 206
                left = int(reply.headers.get("Content-Length") or 0)
                receive(reply, part, have if resumed else 0, left)
            return
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            # Cut off: go on from there. Never connected at all: no second try will help.
            now = part.stat().st_size if part.exists() else 0
            if attempt == TRIES or now == have:
                raise
        except requests.HTTPError as error:
            if attempt == TRIES or error.response.status_code < 500:
                raise


def receive(reply, part, have, left):
    """Append the reply's bytes to the first `have` bytes of `part`, under a progress bar."""
    name = part.name.split(".")[0]
    with open(part, "r+b" if have else "wb") as out:
        out.seek(have)
        with tqdm(total=have + left or None, initial=have, unit="B", unit_scale=True,
                  desc=f"downloading {name}", disable=None) as bar:
            for chunk in reply.iter_content(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
                left -= len(chunk)
    if left > 0:
        raise requests.exceptions.ChunkedEncodingError("the connection closed early")


def short(error):
    """A request's failure in a few words; the library's own text is a page of nested reprs."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}"
    # Silence in the middle of a file is no Timeout to the library.
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "timed out"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy did not answer"
    return "no connection"
