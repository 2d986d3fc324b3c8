"""One case: a damaged file is read, and nothing but a refusal in one line or success may follow."""

import re
import time
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List

from nin_gluon import InputError
from tests.fuzz.mutations import mutated

MEGABYTE = 2**20


@dataclass
class Sample:
    """A file that a reader accepts, in a folder of its own.

    Attributes
    ----------
    file : Path
    read : callable
        Reads it, and uses what it has read as the package does.
    most_memory : int
        Bytes that reading it may take: four times the net's parameters, where there is a net.
    mutate : callable
        (content, seed) -> a damaged copy.
    contents : list of bytes
        What the file may hold; by default what it holds.
    """

    file: Path
    read: Callable[[], object]
    most_memory: int = 8 * MEGABYTE
    mutate: Callable[[bytes, int], bytes] = mutated
    contents: List[bytes] = field(default_factory=list)

    def __post_init__(self):
        self.contents = self.contents or [self.file.read_bytes()]


@dataclass
class Outcome:
    """How a case ended: "accepted", "refused", or "escape", which `words` describes."""

    kind: str
    words: str
    memory: int  # bytes, of Python and NumPy
    seconds: float


def run_case(sample, seed):
    """Damage the file of a sample in the way of this seed, and read it."""
    content = sample.contents[seed % len(sample.contents)]
    sample.file.unlink(missing_ok=True)  # a new file: a disk may take milliseconds to shorten one
    sample.file.write_bytes(sample.mutate(content, seed))
    began = time.perf_counter()
    kind, words, memory = call(sample)
    seconds = time.perf_counter() - began
    if memory > sample.most_memory:
        kind, words = "escape", f"took {memory:,} bytes of memory"
    return Outcome(kind, words, memory, seconds)


def call(sample):
    """(kind, words, bytes at the peak)"""
    kind, words = "accepted", ""
    tracemalloc.start()
    try:
        sample.read()
    except InputError as error:
        kind, words = "refused", str(error)
        fault = fault_of(words, sample.file)
        if fault:
            kind, words = "escape", f"the message {fault}: {words!r}"
    except Exception as error:
        kind, words = "escape", repr(error)
    finally:
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return kind, words, memory


def fault_of(message, file):
    """What is wrong with the line that a user gets; None if nothing is."""
    if not message.isprintable():
        return "is not one line of text"
    if len(message) > 1000:
        return "is long"
    if re.search(r"Errno|Traceback|<class|object at 0x", message):
        return "is a programmer's"
    if file.name not in message and file.parent.name not in message:
        return "does not name the file"
    return None


def survives(read, most_memory):
    """Call `read`; tell whether it was content. Only InputError and little memory are allowed."""
    tracemalloc.start()
    try:
        read()
        return True
    except InputError as error:
        assert "\n" not in str(error)
        return False
    finally:
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert memory < most_memory
