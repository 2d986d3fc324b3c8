"""What somebody may put in place of a run's file, and a look at what a command did about it."""

import os
import pickle
import re
import stat


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def content(make):
    """A kind that is an ordinary file with other content: a function of (before, trap)."""
    def put(path, trap):
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(make(before, trap))

    return put


def place(make):
    """A kind that is no ordinary file."""
    def put(path, trap):
        path.unlink(missing_ok=True)
        make(path)

    return put


def with_nan(before, trap):
    """Its first number is NaN; or it is a NaN and no more, if it is no text with numbers."""
    changed, count = re.subn(rb"(?<=: )-?\d[\d.e+-]*", b"NaN", before[:20_000], count=1)
    return changed + before[20_000:] if count else b"NaN"


CONTENTS = {
    "a pickle": content(lambda before, trap: pickle.dumps(Trap(trap), 4)),
    "an older pickle": content(lambda before, trap: pickle.dumps(Trap(trap), 0)),
    "10 MB of brackets": content(lambda before, trap: b"[" * 10_000_000),
    "a line of 10 MB": content(lambda before, trap: b'{"a": "' + b"x" * 10_000_000 + b'"}'),
    "UTF-16": content(lambda before, trap: before.decode("latin-1").encode("utf-16")),
    "NaN": content(with_nan),
    "half of it": content(lambda before, trap: before[: len(before) // 2] + b"\x00"),
}

PLACES = {
    "a folder": place(os.mkdir),
    "a pipe": place(os.mkfifo),
    "a device": place(lambda path: path.symlink_to("/dev/zero")),
    "a file of /proc": place(lambda path: path.symlink_to("/proc/kmsg")),
    "a link to nowhere": place(lambda path: path.symlink_to("nowhere")),
    "a link to itself": place(lambda path: path.symlink_to(path.name)),
}

KINDS = {**CONTENTS, **PLACES}


def look(folder):
    """Everything below a folder: its kind, and what is in it. A lock that was left is nothing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = stat.S_IFMT(path.lstat().st_mode)
        if stat.S_ISREG(kind):
            found[path] = path.read_bytes()
        else:
            found[path] = os.readlink(path) if stat.S_ISLNK(kind) else kind
    if found.get(folder / ".lock") == b"":
        del found[folder / ".lock"]
    return found


def check_refused(main, arguments, folder, name, trap, capsys):
    """The command ends with status 2 and one line that names the file; it changed nothing."""
    before = look(folder)
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err.splitlines()
    assert name in said[-1] and "Errno" not in said[-1] and len(said[-1]) < 1000
    assert len(said) == 1, said
    assert look(folder) == before
    assert not trap.exists()
