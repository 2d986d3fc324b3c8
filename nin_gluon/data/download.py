"""Downloading the files of an image set."""

import contextlib
import os
import zlib
from pathlib import Path
from typing import Dict, List, Optional, Sequence
from urllib.parse import urlsplit

import filelock
import requests
from tqdm import tqdm

from nin_gluon.data.checksums import is_genuine
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.regular_files import is_file
from nin_gluon.errors import InputError, why

__all__ = ["DownloadError", "download"]

TIMEOUT = (5, 30)  # seconds to connect, seconds without a byte
TRIES = 3  # of each source; a try goes on where the last one stopped
CHUNK = 1 << 16  # bytes
LOCK = ".download.lock"


class DownloadError(InputError):
    """A file was not found and could not be downloaded.

    Attributes
    ----------
    reason : str
        Why not, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooLong(requests.RequestException):
    """A source sends more than the file can have."""


def download(image_set: ImageSet, file: DataFile, folder: Path) -> Path:
    """Fetch one file into the folder and return its path.

    The bytes go to a ``.part`` file beside it, which a later call completes if this one is cut off.
    Only a file with the right checksum gets the real name. A lock keeps two processes from fetching
    the same file at once; it ends with the process that holds it, however that ends. If nothing
    came, the folders made for it are removed.

    Raises
    ------
    DownloadError
        No source has the file, or the folder cannot be written to.
    """
    target = folder / file.name
    failures: Dict[str, str] = {}
    made: List[Path] = []
    try:
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / LOCK):
            if is_file(target, f"the file {file.name} of {image_set.title}"):
                return target  # another process was faster
            failures = fetch_from_any(image_set.sources, file, target)
        if not failures:
            return target
    except OSError as error:  # a read-only folder, a full disk
        raise DownloadError(f"{file.name} could not be saved: {error.filename or folder} cannot be "
                            f"written: {why(error)}.", why(error)) from None
    finally:
        remove_if_empty(folder, made)
    reasons = "; ".join(f"{place}: {why}" for place, why in failures.items())
    raise DownloadError(f"{file.name} could not be downloaded ({reasons}).",
                        ", ".join(dict.fromkeys(failures.values())))


def remove_if_empty(folder: Path, made: List[Path]) -> None:
    """Remove these folders, innermost first, unless the download left something in them."""
    with contextlib.suppress(OSError):
        if made and os.listdir(folder) == [LOCK]:
            (folder / LOCK).unlink()
        for place in made:
            place.rmdir()


def fetch_from_any(sources: Sequence[str], file: DataFile, target: Path) -> Dict[str, str]:
    """Fetch the file from the first source that has it.

    Returns
    -------
    dict
        Empty if the file has come; else why not, by source.
    """
    failures = {}
    for source in sources:
        try:
            if fetch_genuine(source, file, target):
                return {}
            failures[urlsplit(source).netloc] = "sent another file"
        except requests.RequestException as error:
            failures[urlsplit(source).netloc] = short(error)
    return failures


def fetch_genuine(source: str, file: DataFile, target: Path) -> bool:
    """Download the file beside `target` and move it there; False if it is not the right one."""
    part = target.with_name(f"{file.name}.{zlib.crc32(source.encode()):08x}.part")
    # What an earlier run left may be wrong. If so, start once more, from nothing.
    left = is_file(part, "a file that is being downloaded")
    for _ in range(1 + left):
        with contextlib.suppress(TooLong):
            fetch(source + file.name, part, file.largest)
            if is_genuine(part, file):
                os.replace(part, target)
                return True
        part.unlink()
    return False


def fetch(url: str, part: Path, largest: Optional[int] = None) -> None:
    """Download `url` into the file `part`, going on from what is already in it.

    Raises
    ------
    requests.RequestException
        The file did not come as a whole.
    TooLong
        It would have more than `largest` bytes.
    """
    # `identity`: we check the length and the checksum of the file as it is.
    for attempt in range(1, TRIES + 1):
        have = size_of(part)
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT,
                              headers={"Accept-Encoding": "identity", "Range": f"bytes={have}-"},
                              ) as reply:
                if reply.status_code == 416 and have:  # there is no more: the file was complete
                    return
                reply.raise_for_status()
                resumed = reply.status_code == 206
                left = int(reply.headers.get("Content-Length") or 0)
                receive(reply, part, have if resumed else 0, left, largest)
            return
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            # If something came before the connection broke, go on from there. If nothing did,
            # another try will not help.
            if attempt == TRIES or size_of(part) == have:
                raise
        except requests.HTTPError as error:
            if attempt == TRIES or status(error) < 500:
                raise


def size_of(part: Path) -> int:
    """Bytes in the file; 0 if there is none."""
    return part.stat().st_size if part.exists() else 0


def receive(reply: requests.Response, part: Path, have: int, left: int,
            largest: Optional[int] = None) -> None:
    """Append the reply's bytes to the first `have` bytes of `part`, under a progress bar."""
    name = part.name.split(".")[0]
    with open(part, "r+b" if have else "wb") as out:
        out.seek(have)
        with tqdm(total=have + left or None, initial=have, unit="B", unit_scale=True,
                  desc=f"downloading {name}", disable=None) as bar:
            for chunk in reply.iter_content(CHUNK):
                have += len(chunk)
                if largest is not None and have > largest:
                    raise TooLong
                out.write(chunk)
                bar.update(len(chunk))
                left -= len(chunk)
    if left > 0:
        raise requests.exceptions.ChunkedEncodingError("the connection closed early")


def status(error: requests.HTTPError) -> int:
    """The status with which a server refused."""
    assert error.response is not None
    return error.response.status_code


def short(error: requests.RequestException) -> str:
    """A request's failure in a few words; the library's own text is a page of nested reprs."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {status(error)}"
    # If a server falls silent in the middle of a file, the library raises no Timeout.
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "timed out"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy did not answer"
    return "no connection"
