"""Damaged copies of a file, by the number of a seed, for tests of what reads it."""

import os
import random
import struct
import tracemalloc

from nin_gluon import InputError

CASES = int(os.environ.get("FUZZ_CASES", 300))  # of each reader

INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62,
               2**63 - 1, 2**63, 2**64 - 1]


def mutated(data, seed):
    """One to four changes: bits, bytes, lengths, pieces left out, doubled or swapped."""
    rng, data = random.Random(seed), bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        # Headers are at the beginning or the end; what lies between is mostly numbers.
        where = rng.choice([len(data), min(len(data), 200)])
        at = rng.randrange(where + 1)
        if rng.random() < 0.2:
            at = len(data) - at
        end = min(len(data), at + rng.choice([1, 2, 4, 8, 30, 1000]))
        kind = rng.randrange(8)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end]
        elif kind == 3:
            data[at:end] = bytes(rng.randrange(256) for _ in range(end - at))
        elif kind == 4 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 5 and at < len(data):
            data[at] = rng.choice(b".(NK}])tRbsue\x94\x93\x81\x85hqcio\x80\x95[]{}0919,:\"")
        else:
            form = rng.choice("BHIQ")
            value = rng.choice(INTERESTING) % 256 ** struct.calcsize(form)
            packed = struct.pack(rng.choice("<>") + form, value)
            data[at : at + len(packed)] = packed
    return bytes(data)


def survives(read, most_bytes):
    """Call `read`; tell whether it was content. Only InputError and little memory are allowed."""
    tracemalloc.start()
    try:
        read()
        return True
    except InputError as error:
        assert "\n" not in str(error)
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most_bytes
