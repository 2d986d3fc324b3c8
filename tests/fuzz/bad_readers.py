"""Readers that fail in each way that the fuzzer has to notice."""

import os
import time

from nin_gluon import InputError
from tests.fuzz.cases import Sample


def make(act):
    def sample(folder):
        file = folder / "bad.file"
        file.write_bytes(b"")
        # A case's content is its seed in bytes.
        return Sample(file, lambda: act(file, len(file.read_bytes())), 2**20,
                      lambda content, seed: bytes(seed))

    return sample


def raises(file, seed):
    if seed == 3:
        raise IndexError("beyond the end")


def crashes(file, seed):
    if seed in (2, 4):
        os.abort()


def fills_the_memory(file, seed):
    if seed == 1:
        bytes(3 * 2**20)
    if seed == 2:
        bytes(2**40)


def hangs(file, seed):
    if seed == 1:
        time.sleep(60)


def talks(file, seed):
    if seed:
        raise InputError(f"{file}: [Errno 21] Is a directory" if seed == 1 else "it is damaged"
                         if seed == 2 else f"{file} is bad\nvery" if seed == 3 else f"{file} no")


READERS = {act.__name__: make(act) for act in (raises, crashes, fills_the_memory, hangs, talks)}
