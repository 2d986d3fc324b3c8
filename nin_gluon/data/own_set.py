"""Image sets of the user's own: files of a published set's names and form, with other content."""

import hashlib
from pathlib import Path
from typing import Dict, List, Optional

from nin_gluon.data.checksums import is_genuine, md5
from nin_gluon.data.folders import Root, data_folders
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.regular_files import is_file
from nin_gluon.errors import InputError

__all__ = ["fingerprint", "own_files"]


def own_files(image_set: ImageSet, split: str, root: Root = None) -> List[Path]:
    """Paths of a split in a set of the user's own; an empty list if the user has none.

    Official files, found elsewhere or downloaded, are never mixed into it.

    Raises
    ------
    InputError
        The user's set lacks this split.
    """
    present = own_set(image_set, root)
    paths = [present[file] for file in image_set.splits[split] if file in present]
    if present and not paths:
        foreign = next(path for file, path in present.items() if not is_genuine(path, file))
        raise InputError(
            f"{foreign} is not the official {image_set.title}, so {foreign.parent} holds a set of "
            f"your own, but it lacks {image_set.splits[split][0].name}; put that there too, or "
            "move the set away for the official one to be used."
        )
    return paths


def own_set(image_set: ImageSet, root: Root = None) -> Dict[DataFile, Path]:
    """A set of the user's own, both splits; an empty dict if the user has none.

    The first folder with any of the files decides. If one of them is not as published, that folder
    holds a set of the user's own, and the set is what this folder holds and no more.
    """
    expected = f"a file of {image_set.title}"
    for place in data_folders(image_set, root):
        present = {file: place / file.name for files in image_set.splits.values() for file in files
                   if is_file(place / file.name, expected)}
        if present:
            official = all(is_genuine(path, file) for file, path in present.items())
            return {} if official else present
    return {}


def fingerprint(image_set: ImageSet, root: Root = None) -> Optional[str]:
    """Eight hex digits that tell a set of the user's own from others; None for the published set.
    """
    paths = own_set(image_set, root).values() if image_set.own else ()
    sums = "".join(md5(path) for path in paths)
    return hashlib.md5(sums.encode()).hexdigest()[:8] if sums else None
