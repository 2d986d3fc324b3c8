"""Reading JSON that may be damaged: whatever is in a file, the answer is a value or one error."""

import json
import math
import reprlib
import stat
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from nin_gluon.errors import InputError, why

__all__ = ["check_keys", "check_number", "check_text", "check_whole", "parse_json", "read_text",
           "reason", "shown"]

# Far more than any record has. Without a limit, a wrong file could fill the memory.
MAX_BYTES = 64 * 2**20

MAX_WHOLE = 2**63 - 1

MAX_TEXT = 10_000  # characters

MAX_DEPTH = 20


def read_text(path: Path) -> str:
    """The text of a file.

    Raises
    ------
    FileNotFoundError
        There is nothing under this name.
    InputError
        It is no regular file of UTF-8 text, or it cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait for its writer
            raise InputError(f"{path} is not a file but a folder, pipe or device; move it away.")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{path} is damaged: it has {status.st_size:,} bytes and should have "
                             f"less than {MAX_BYTES:,}; bring back a whole copy, or move it away.")
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(str(path)) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is damaged: it is not UTF-8 text; bring back a whole copy, or "
                         "move it away.") from None


def parse_json(text: str) -> Any:
    """The value of a JSON text; ValueError says what is wrong with it.

    Stricter than `json.loads`: an object names a key once, nothing is nested deeply, and text can
    be written again (no half of a surrogate pair).
    """
    try:
        value = json.loads(text, object_pairs_hook=distinct)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    check_value(value)
    return value


def distinct(pairs: Iterable[Tuple[str, Any]]) -> Dict[str, Any]:
    pairs = list(pairs)
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def check_value(value: Any, depth: int = 0) -> None:
    """Raise ValueError if a parsed value is nested too deeply or holds text that is none."""
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{shown(value)} is not text") from None
    elif isinstance(value, (list, dict)):
        parts: List[Any] = [*value.items()] if isinstance(value, dict) else value
        for part in parts:
            check_value(list(part) if isinstance(part, tuple) else part, depth + 1)


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


def check_text(name: str, value: Any) -> str:
    """The value, if it is a line of text without control characters; else ValueError."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
        raise ValueError(f"{name} is {shown(value)}, not a line of text")
    return value


def check_whole(name: str, value: Any, lowest: int = 0, highest: int = MAX_WHOLE) -> int:
    """The value, if it is a whole number of this range; else ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{name} is {shown(value)}, not a whole number of {lowest} or above")
    return value


def check_number(name: str, value: Any, highest: float = math.inf) -> float:
    """The value, if it is a finite number from 0 to `highest`; else ValueError."""
    if (not isinstance(value, (int, float)) or isinstance(value, bool)
            or not 0 <= value <= highest or value == math.inf):
        bound = "of 0 or above" if highest == math.inf else f"from 0 to {highest:g}"
        raise ValueError(f"{name} is {shown(value)}, not a number {bound}")
    return value


def shown(value: Any) -> str:
    """A value from a file as it can stand in an error message: short, and on one line."""
    return reprlib.repr(value)


def reason(error: Exception) -> str:
    """What an exception says, short and on one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 200 else f"{words[:200]}..."
