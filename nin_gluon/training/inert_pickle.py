"""Reads the pickles in checkpoints of version 0.1 without running anything.

`pickle` calls what a file names, so whoever wrote the file decides what runs. This reader knows
the opcodes that occur in these files, and no function at all: where `pickle` would import and call
something, a `Made` notes what would have been called with what. There are two kinds of such files,
and each has a short list of the names that it may hold.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Dict, FrozenSet, List, Optional, Tuple

from nin_gluon.checked_files import exactly, unpack

__all__ = ["TORCH", "TRAINER", "Made", "read_pickle"]


@dataclass(frozen=True)
class Dialect:
    """What one kind of pickle consists of."""

    protocol: int
    names: FrozenSet[Tuple[str, str]]  # (module, name) of what it may name


# ``trainer.states``: the states of MXNet 1.9.1's trainer, with either optimizer and any schedule
# of ours.
TRAINER = Dialect(4, frozenset({
    ("mxnet.ndarray.ndarray", "NDArray"),
    ("builtins", "bytearray"),
    ("mxnet.optimizer.optimizer", "SGD"),
    ("mxnet.optimizer.optimizer", "Adam"),
    ("mxnet.lr_scheduler", "CosineScheduler"),
    ("mxnet.lr_scheduler", "MultiFactorScheduler"),
}))

# ``checkpoint.pt``: what `torch.save` makes of tensors on any device, their names and numbers.
TORCH = Dialect(2, frozenset({
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "FloatStorage"),
    ("torch", "ByteStorage"),
}))

LONGEST_TEXT = 1000  # bytes

MARK = object()


class Global:
    """A name that a pickle may hold, in place of what it names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Made:
    """An object that `pickle` would have made, and how.

    Attributes
    ----------
    name : str
        Of the class or function, without its module; "storage" for what the pickle only refers to.
    arguments : tuple
    state : dict or None
        The attributes that it would have been given.
    items : dict
        Of an ``OrderedDict``.
    """

    __slots__ = ("arguments", "items", "name", "state")

    def __init__(self, name: str, arguments: tuple) -> None:
        self.name, self.arguments = name, arguments
        self.state: Optional[dict] = None
        self.items: Dict[Any, Any] = {}


def read_pickle(file: BinaryIO, dialect: Dialect, most_opcodes: int) -> Any:
    """What the pickle holds: dicts, lists, tuples, numbers, str, bytes, `Made` and `Global`.

    An opcode makes one small object at most, beside the bytes that the file holds anyway. So the
    size of the file, which the caller limits, and `most_opcodes` bound memory and time.

    Dicts have keys of type int or str. Objects may be shared or hold themselves, so whoever walks
    over them has to know where to stop.

    Raises
    ------
    ValueError
        The file is damaged, has another opcode, or names something else.
    """
    return Machine(file, dialect).run(most_opcodes)


class Machine:
    """The stack machine that a pickle is a program of, cut down to what builds data."""

    def __init__(self, file: BinaryIO, dialect: Dialect) -> None:
        self.file, self.dialect = file, dialect
        self.opcodes = {**OPCODES, **OPCODES_OF[dialect.protocol]}
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}

    def run(self, most_opcodes: int) -> Any:
        if exactly(self.file, 2) != bytes([0x80, self.dialect.protocol]):
            raise ValueError(f"it is no pickle of protocol {self.dialect.protocol}")
        for _ in range(most_opcodes):
            opcode = exactly(self.file, 1)
            if opcode == b".":
                return self.pop()
            if opcode not in self.opcodes:
                raise ValueError(f"it holds the opcode {opcode!r}, which no checkpoint needs")
            self.opcodes[opcode](self)
        raise ValueError("it is longer than any checkpoint's")

    # ------------------------------------------------------------------ the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, kind: type = object) -> Any:
        """Take the topmost value, which has to be of this very type."""
        if not self.stack or self.stack[-1] is MARK:
            raise ValueError("it takes a value where there is none")
        if kind is not object and type(self.stack[-1]) is not kind:
            raise ValueError(f"it has something else where a {kind.__name__} belongs")
        return self.stack.pop()

    def pop_to_mark(self) -> List[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is MARK:
                values = self.stack[position + 1 :]
                del self.stack[position:]
                return values
        raise ValueError("it lacks the mark where a series begins")

    def top(self, kind: type) -> Any:
        value = self.pop(kind)
        self.push(value)
        return value

    # ------------------------------------------------------------------ opcodes

    def frame(self) -> None:
        unpack(self.file, "<Q")  # how much to read ahead, which we do not

    def number(self, form: str) -> None:
        self.push(unpack(self.file, form)[0])

    def text(self, form: str) -> None:
        length, = unpack(self.file, form)
        if length > LONGEST_TEXT:
            raise ValueError("it holds a text of unlikely length")
        self.push(exactly(self.file, length).decode("utf-8"))

    def data(self, form: str) -> None:
        # The file's size has been limited, and `read` takes no more memory than the file holds.
        self.push(exactly(self.file, unpack(self.file, form)[0]))

    def make_tuple(self, length: int) -> None:
        self.push(tuple([self.pop() for _ in range(length)][::-1]))

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.top(object)

    def put(self, form: str) -> None:
        self.memo[unpack(self.file, form)[0]] = self.top(object)

    def get(self, form: str) -> None:
        index, = unpack(self.file, form)
        if index not in self.memo:
            raise ValueError("it refers to a value that is not there")
        self.push(self.memo[index])

    def set_items(self, values: List[Any]) -> None:
        if len(values) % 2:
            raise ValueError("it has a key without a value")
        target = self.top(object)
        if type(target) is Made and target.name == "OrderedDict":
            target = target.items
        if type(target) is not dict:
            raise ValueError("it has something else where a dict belongs")
        for key, value in zip(values[::2], values[1::2]):
            if type(key) not in (int, str):
                raise ValueError("it has a key that is neither a number nor a text")
            target[key] = value

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def extend(self, values: List[Any]) -> None:
        self.top(list).extend(values)

    def find(self) -> None:
        """STACK_GLOBAL: the name is on the stack."""
        name, module = self.pop(str), self.pop(str)
        self.push(self.known(module, name))

    def find_line(self) -> None:
        """GLOBAL: module and name are lines of the file."""
        module, name = self.line(), self.line()
        self.push(self.known(module, name))

    def line(self) -> str:
        found = b""
        while len(found) < 100:
            byte = exactly(self.file, 1)
            if byte == b"\n":
                return found.decode("utf-8")
            found += byte
        raise ValueError("it holds a name of unlikely length")

    def known(self, module: str, name: str) -> Global:
        if (module, name) not in self.dialect.names:
            raise ValueError(f"it names {module[:60]!r}, {name[:60]!r}, which no checkpoint needs")
        return Global(name)

    def refer(self) -> None:
        """BINPERSID: pickle would ask a function of the reader's for what this refers to."""
        self.push(Made("storage", self.pop(tuple)))

    def make(self) -> None:
        """REDUCE and NEWOBJ: pickle would call the one with the other."""
        arguments, called = self.pop(tuple), self.pop(Global)
        self.push(Made(called.name, arguments))

    def build(self) -> None:
        state = self.pop(dict)
        self.top(Made).state = state


# What each opcode does, in both protocols.
OPCODES: Dict[bytes, Callable[[Machine], None]] = {
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.number("<B"),
    b"M": lambda m: m.number("<H"),
    b"J": lambda m: m.number("<i"),
    b"G": lambda m: m.number(">d"),
    b"X": lambda m: m.text("<I"),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.make_tuple(1),
    b"\x86": lambda m: m.make_tuple(2),
    b"\x87": lambda m: m.make_tuple(3),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"(": lambda m: m.push(MARK),
    b"h": lambda m: m.get("<B"),
    b"j": lambda m: m.get("<I"),
    b"s": Machine.set_item,
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.pop_to_mark()),
    b"R": Machine.make,
    b"\x81": Machine.make,
    b"b": Machine.build,
}

# And those of one protocol only.
OPCODES_OF: Dict[int, Dict[bytes, Callable[[Machine], None]]] = {
    2: {
        b"q": lambda m: m.put("<B"),
        b"r": lambda m: m.put("<I"),
        b"c": Machine.find_line,
        b"Q": Machine.refer,
    },
    4: {
        b"\x95": Machine.frame,
        b"\x8c": lambda m: m.text("<B"),
        b"C": lambda m: m.data("<B"),
        b"B": lambda m: m.data("<I"),
        b"\x8e": lambda m: m.data("<Q"),
        b"\x94": Machine.memoize,
        b"\x93": Machine.find,
    },
}
