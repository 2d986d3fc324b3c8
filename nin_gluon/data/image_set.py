"""The description of an image set: which files it has, how to check them, where they come from."""

from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

__all__ = ["Arrays", "DataFile", "ImageSet"]

Arrays = Tuple[np.ndarray, np.ndarray]  # images and labels


class DataFile(NamedTuple):
    """One file of an image set.

    Attributes
    ----------
    name : str
        As it is published.
    checksums : tuple of str
        Hex digests (MD5 or SHA-1) of every accepted form: as published, as others compressed it
        again, and of the uncompressed content.
    size : int, optional
        Bytes of the uncompressed content. Without it only the file as a whole is compared with
        the checksums, not what it decompresses to.
    """

    name: str
    checksums: Tuple[str, ...]
    size: Optional[int] = None

    @property
    def largest(self) -> Optional[int]:
        """More bytes than any usual compression of the content has; None if the size is unknown."""
        return None if self.size is None else 2 * self.size + 2**16


class ImageSet(NamedTuple):
    """Description of an image set.

    Attributes
    ----------
    name : str
        Also the name of its folder.
    title : str
        For people.
    classes : tuple of str
        In the order of the labels.
    splits : dict
        ``"train"`` and ``"test"``, each with its files.
    read : callable
        (paths of a split's files, split) -> images (n, height, width, channels) uint8 and labels
        (n,) uint8. Raises InputError if the files do not have the right form.
    sources : tuple of str
        Addresses; a file's name is appended.
    archive : DataFile, optional
        The file in which all the others are published.
    folders : tuple of str
        Other usual names of its folder.
    own : bool
        Whether files of the right form but with other content are used, with a notice.
    """

    name: str
    title: str
    classes: Tuple[str, ...]
    splits: Dict[str, Tuple[DataFile, ...]]
    read: Callable[[Sequence[Path], str], Arrays]
    sources: Tuple[str, ...]
    archive: Optional[DataFile] = None
    folders: Tuple[str, ...] = ()
    own: bool = False
