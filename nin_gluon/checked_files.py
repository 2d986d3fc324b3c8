"""Reading files that may be damaged, foreign or hostile: the answer is a value or one clear line.

Every reader of the project begins here. Nothing is opened before it is known to be an ordinary
file, because a pipe or a device may never end. Nothing larger than its reader expects is read. JSON
is parsed strictly, and in a time that the size of the text bounds.
"""

import codecs
import contextlib
import json
import math
import os
import reprlib
import stat
import struct
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from nin_gluon.errors import InputError, why

__all__ = ["BadFile", "check_keys", "check_number", "check_path", "check_text", "check_whole",
           "exactly", "is_file", "naming", "open_file", "parse_json", "read_text", "reason",
           "shown", "size_of", "unpack"]

# Far more than any text file of the project has. Without a limit, a wrong file could fill the
# memory.
MOST_BYTES = 64 * 2**20

MOST_DEPTH = 20  # of lists and objects in each other
MOST_DIGITS = 20  # of a whole number; to read one of a million digits takes minutes
LONGEST_NUMBER = 100  # characters of any other number

MOST_WHOLE = 2**63 - 1
LONGEST_TEXT = 10_000  # characters

WHOLE_COPY = "bring back a whole copy, or move it away"

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class BadFile(InputError):
    """Something is there that cannot be read.

    Attributes
    ----------
    found : str
        What is wrong, to stand behind the file's name: "is a folder, not a file".
    """

    def __init__(self, path: Union[str, Path], found: str, what_to_do: str = "") -> None:
        super().__init__(f"{path} {found}{what_to_do and '; '}{what_to_do}.")
        self.found = found


# ------------------------------------------------------------------ opening


def is_file(path: Union[str, Path]) -> bool:
    """Whether an ordinary file is there; False if there is nothing.

    Raises
    ------
    BadFile
        Something else is there, or this user may not look.
    """
    return status_of(Path(path)) is not None


def status_of(path: Path) -> Optional[os.stat_result]:
    """The status of an ordinary file; None if there is nothing. Raises as `is_file` does."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise BadFile(path, "is a link to a file that does not exist",
                          "move it away") from None
        return None
    except OSError as error:
        raise BadFile(path, f"cannot be read ({why(error)})") from None
    except ValueError:  # it holds a zero byte
        raise BadFile(ascii(str(path)), "cannot be the name of a file") from None
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise BadFile(path, f"is {kind}, not a file",
                      "use an ordinary file" if kind == "a device" else "move it away")
    return status


@contextlib.contextmanager
def open_file(path: Union[str, Path], most_bytes: Optional[int] = None) -> Iterator[BinaryIO]:
    """Open an ordinary file for reading bytes; use the block only to read from it.

    Raises
    ------
    FileNotFoundError
        There is nothing under this name.
    BadFile
        It is no ordinary file, has more than `most_bytes`, or opening or reading it fails.
    """
    path = Path(path)
    status = status_of(path)
    if status is None:
        raise FileNotFoundError(str(path))
    if most_bytes is not None and status.st_size > most_bytes:
        raise BadFile(path, f"has {status.st_size:,} bytes and should have {most_bytes:,} at most",
                      WHOLE_COPY)
    try:
        # A file of /proc says that it has no size, and reading it may never end: to us it is empty.
        with open(path if status.st_size else os.devnull, "rb") as file:
            yield file
    except OSError as error:
        raise BadFile(path, f"cannot be read ({why(error)})") from None


def read_text(path: Union[str, Path], most_bytes: int = MOST_BYTES,
              encoding: str = "utf-8") -> str:
    """The text of a file; "utf-8-sig" allows for the mark with which some editors begin a file.

    It then allows for UTF-16 with such a mark, too, which older PowerShells write.

    Raises
    ------
    FileNotFoundError
        There is nothing under this name.
    BadFile
        It is no ordinary file of text of that size, or it cannot be read.
    """
    with open_file(path, most_bytes) as file:
        # No more than it says that it has: files of /proc have no size, and some never end.
        data = file.read(size_of(file))
    try:
        if encoding == "utf-8-sig" and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise BadFile(path, "is damaged: it is not UTF-8 text", WHOLE_COPY) from None


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever the block finds wrong with a file into a ValueError that names the file.

    It has only the last part of the path, for messages that name the folder.
    """
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except BadFile as error:
        raise ValueError(f"{path.name} {error.found}") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


# ------------------------------------------------------------------ JSON


def parse_json(text: Union[str, bytes], most_depth: int = MOST_DEPTH,
               allow_nan: bool = False) -> Any:
    """The value of a JSON text; ValueError says what is wrong with it.

    Stricter than `json.loads`: an object has a name once, nothing is nested deeply, numbers are
    finite, and text can be written again (no half of a surrogate pair). A number of very many
    digits counts as infinite.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8.
    most_depth : int
        How deeply lists and objects may be nested.
    allow_nan : bool
        Whether to let NaN and infinity pass, which other programs may write.
    """
    try:
        content = text if isinstance(text, str) else text.decode("utf-8")
        if not content.strip():
            raise ValueError("it is empty")
        value = json.loads(content, object_pairs_hook=distinct, parse_int=whole_number,
                           parse_float=real_number)
        check_value(value, most_depth, allow_nan)
        return value
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def distinct(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def whole_number(text: str) -> float:
    return int(text) if len(text) <= MOST_DIGITS else math.inf


def real_number(text: str) -> float:
    return float(text) if len(text) <= LONGEST_NUMBER else math.inf


def check_value(value: Any, most_depth: int, allow_nan: bool, name: str = "it") -> None:
    """Raise ValueError if a parsed value is nested too deeply or holds what is no text or number.
    """
    if isinstance(value, float):
        if not allow_nan and not math.isfinite(value):
            raise ValueError(f"{name} is {value}, not a number")
    elif isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{shown(value)} is not text") from None
    elif isinstance(value, (list, dict)):
        if not most_depth:
            raise ValueError("it is nested too deeply")
        if isinstance(value, list):
            for part in value:
                if not isinstance(part, int):  # of which there may be many
                    check_value(part, most_depth - 1, allow_nan, name)
        else:
            for key, part in value.items():
                check_value(key, 0, allow_nan)
                check_value(part, most_depth - 1, allow_nan,
                            key if key.isidentifier() and len(key) < 30 else shown(key))


# ------------------------------------------------------------------ checks of parsed values


def check_keys(content: Any, required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raise ValueError unless this is a JSON object with these keys and no others."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{shown(content)} is not a JSON object")
    known = set(required)
    missing = [name for name in required if name not in content]
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    unknown = [name for name in content if name not in known.union(optional)]
    if unknown:
        raise ValueError(f"{shown(unknown[0])} is unknown")


def check_text(name: str, value: Any, shortest: int = 0, longest: int = LONGEST_TEXT) -> str:
    """The value, if it is a line of text without control characters; else ValueError."""
    if (not isinstance(value, str) or not value.isprintable()
            or not shortest <= len(value) <= longest):
        raise ValueError(f"{name} is {shown(value)}, not a line of text of up to {longest:,} "
                         "characters")
    return value


def check_path(name: str, value: Any) -> Optional[str]:
    """The value, if it can be a path, or is None; else ValueError."""
    # Not `isprintable`, which is false for spaces of other widths.
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST_TEXT
                              or any(ord(character) < 32 for character in value)):
        raise ValueError(f"{name} is {shown(value)}, not a path")
    return value


def check_whole(name: str, value: Any, lowest: int = 0, highest: int = MOST_WHOLE) -> int:
    """The value, if it is a whole number of this range; else ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{name} is {shown(value)}, not a whole number of {lowest} or above")
    return value


def check_number(name: str, value: Any, highest: float = math.inf, lowest: float = 0) -> float:
    """The value, if it is a finite number from `lowest` to `highest`; else ValueError."""
    try:
        good = (isinstance(value, (int, float)) and not isinstance(value, bool)
                and lowest <= value <= highest and math.isfinite(value))
    except OverflowError:  # a whole number beyond what a float holds
        good = False
    if not good:
        bound = (f"of {lowest:g} or above" if highest == math.inf
                 else f"from {lowest:g} to {highest:g}")
        raise ValueError(f"{name} is {shown(value)}, not a number {bound}")
    return value  # type: ignore[no-any-return]


def shown(value: Any) -> str:
    """A value from a file as it can stand in an error message: short, and on one line."""
    return reprlib.repr(value)


def reason(error: Exception) -> str:
    """What an exception says, short and on one line, without a full stop."""
    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return words if len(words) <= 200 else f"{words[:200]}..."


# ------------------------------------------------------------------ bytes


def size_of(file: BinaryIO) -> int:
    """The size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def exactly(file: BinaryIO, length: int) -> bytes:
    """So many bytes; ValueError if the file has fewer."""
    # Python takes the memory before it reads. Lengths that are small need no look at the size.
    if length <= 4096 or length <= remaining(file):
        data = file.read(length)
        if len(data) == length:
            return data
    raise ValueError("the file ends too early")


def remaining(file: BinaryIO) -> int:
    """How many bytes follow."""
    position = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(position)
    return end - position


def unpack(file: BinaryIO, form: str) -> Tuple[Any, ...]:
    """The numbers that come next, in a form of `struct`."""
    return struct.unpack(form, exactly(file, struct.calcsize(form)))
