"""Damaged copies of a file. The number of a seed says how, so each can be made again."""

import random
import re
import struct

INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62,
               2**63 - 1, 2**63, 2**64 - 1]

# Opcodes of pickles, and what JSON and logs consist of.
CHARACTERS = b".(NK}])tRbsue\x94\x93\x81\x85hqcio\x80\x95[]{}0919,:\"/e-\n\xff"

# What may stand where a value of JSON belongs.
JUNK = [b"NaN", b"-Infinity", b"-1", b"1e999", b"9" * 400, b"99999999999999999999", b"1" * 30_000,
        b"null", b"[]", b"{}", b'"x"', b'"\\u0000"', b'"\\ud800"', b'"\\u001b[2J"', b"true",
        b"\xff\xfe", b"\x00", b"\xef\xbb\xbf", b"[" * 3000, b'{"a":' * 50, b"0.5", b"-0.0", b"\n",
        b'"' + b"y" * 20_000 + b'"', b"0" * 200 + b".1", b"1e-400", b"[[1, 2], [3]]"]

NAME = re.compile(rb'"[a-z_]+": ')
VALUE = re.compile(rb'(?<=[:\[,] )[^,\[\]{}\n]+|(?<=\[)[^,\[\]{}\n]+')


def mutated(data, seed):
    """A copy with one to four changes, each in bytes, or in a name or value if it is JSON."""
    draw, data = random.Random(seed), bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 4])):
        names = list(NAME.finditer(data[:20_000]))
        if names and draw.random() < 0.6:
            change_json(draw, data, names)
        else:
            change_bytes(draw, data)
    return bytes(data)


def change_json(draw, data, names):
    """Another name, a name twice, or another value."""
    name, values = draw.choice(names), list(VALUE.finditer(data[:20_000]))
    kind = draw.randrange(4)
    if kind == 0:
        data[name.start():name.end()] = b'"other": '
    elif kind == 1:
        data[name.start():name.start()] = name[0] + b"0, "
    elif values:
        value = draw.choice(values)
        data[value.start():value.end()] = draw.choice(JUNK)


def change_bytes(draw, data):
    """Bits, bytes and lengths changed; pieces left out, doubled or swapped."""
    # Headers are at the beginning or the end; what lies between is mostly numbers.
    where = draw.choice([len(data), min(len(data), 200)])
    at = draw.randrange(where + 1)
    if draw.random() < 0.2:
        at = len(data) - at
    end = min(len(data), at + draw.choice([1, 2, 4, 8, 30, 1000]))
    kind = draw.randrange(8)
    if kind == 0:
        del data[at:]
    elif kind == 1:
        del data[at:end]
    elif kind == 2:
        data[at:at] = data[at:end]
    elif kind == 3:
        data[at:end] = bytes(draw.randrange(256) for _ in range(end - at))
    elif kind == 4 and at < len(data):
        data[at] ^= 1 << draw.randrange(8)
    elif kind == 5 and at < len(data):
        data[at] = draw.choice(CHARACTERS)
    else:
        form = draw.choice("BHIQ")
        value = draw.choice(INTERESTING) % 256 ** struct.calcsize(form)
        packed = struct.pack(draw.choice("<>") + form, value)
        data[at : at + len(packed)] = packed
