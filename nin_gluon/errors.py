"""What a user can put right, as exceptions that the commands turn into one line."""

import errno

__all__ = ["InputError", "WriteError", "why"]


class InputError(ValueError):
    """The request or its input is wrong.

    The message is one sentence or two for the person at the keyboard: what is wrong, what was
    expected, what to do. Commands print it to stderr and exit with status 2.
    """


class WriteError(InputError):
    """A file cannot be written; what was there before is unchanged."""


REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "it would be larger than this process may write; raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only; make it writable, or choose another folder",
    errno.EACCES: "permission is denied; change the permissions, or choose another place",
    errno.EPERM: "permission is denied; change the permissions, or choose another place",
    errno.ENOENT: "it is not there",
    errno.EISDIR: "it is a folder, and a file is expected; move it away",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "it is there already",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.ENXIO: "it is a device or socket, and a file is expected",
    errno.EMFILE: "this process has too many open files; raise the limit (ulimit -n)",
    errno.EIO: "the disk reports an error; check it",
}


def why(error: OSError) -> str:
    """Why the operating system refused, and what to do about it, without its error number."""
    return REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
