"""From the description of an image set to its images: find or download the files, check, read.

Nothing here knows about a particular set; see `nin_gluon.data.sets` for those.
"""

import functools
import logging
from pathlib import Path
from typing import List, Sequence

from nin_gluon.data.archive import unpack
from nin_gluon.data.checksums import is_genuine
from nin_gluon.data.download import DownloadError, download
from nin_gluon.data.folders import Root, data_folders, find_file, mxnet_folder, user_folder
from nin_gluon.data.image_set import Arrays, DataFile, ImageSet
from nin_gluon.data.own_set import own_files
from nin_gluon.data.regular_files import bad_file

__all__ = ["is_at_hand", "load_arrays", "locate"]

log = logging.getLogger(__name__)


def load_arrays(image_set: ImageSet, split: str, root: Root = None) -> Arrays:
    """Find (or download), check and read one split of an image set.

    Parameters
    ----------
    image_set : ImageSet
    split : {"train", "test"}
    root : str or Path, optional
        The user's own folder; see `nin_gluon.data.folders.data_folders`.

    Returns
    -------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), uint8

    Raises
    ------
    InputError
        A file is damaged, truncated, foreign or not readable.
    DownloadError
        A file is missing and cannot be downloaded.
    """
    if image_set.own:
        paths = own_files(image_set, split, root)
        if paths:
            images, labels = image_set.read(paths, split)
            names = ", ".join(map(str, paths))
            purpose = "training" if split == "train" else "test"
            notice(f"{names}: not the official {image_set.title}; using these "
                   f"{len(images):,} images as the {purpose} set")
            return images, labels
    files = image_set.splits[split]
    paths = locate(image_set, files, root)
    images, labels = image_set.read(paths, split)
    for file, path in zip(files, paths):
        # In a set that may be the user's own, `locate` has checked every file already.
        if not image_set.own and not is_genuine(path, file):
            raise bad_file(path, f"has the form of a file of {image_set.title} but not its content",
                           f"checksum {file.checksums[0]}")
    return images, labels


def is_at_hand(image_set: ImageSet, split: str, root: Root = None) -> bool:
    """Whether `load_arrays` finds the files of a split without a download."""
    places = list(data_folders(image_set, root))
    archive = image_set.archive and find_file(image_set, image_set.archive, places)
    return bool(archive) or all(find_file(image_set, file, places)
                                for file in image_set.splits[split])


def locate(image_set: ImageSet, files: Sequence[DataFile], root: Root = None) -> List[Path]:
    """Paths of the files, in their order; files that are nowhere are downloaded.

    Downloads go to `root` if the user named one, else to MXNet's data folder.

    Raises
    ------
    InputError
        Something that is no readable file bears a file's name.
    DownloadError
        A file is missing and cannot be downloaded.
    """
    places = list(data_folders(image_set, root))
    found = {}
    for file in files:
        # Where a user may have files of their own, only official ones count here.
        path = find_file(image_set, file, places, lambda path, file=file:  # type: ignore
                         not image_set.own or is_genuine(path, file))
        if path:
            found[file] = path
    elsewhere = [path.parent for path in found.values()
                 if root and user_folder(root) not in path.parents]
    if elsewhere:
        notice(f"{root} does not hold all of {image_set.title}; using {elsewhere[0]}")
    missing = [file for file in files if file not in found]
    if missing:
        try:
            found.update(zip(missing, obtain(image_set, missing, places, root)))
        except DownloadError as error:
            error.args = (explain(error, image_set, missing, places, root),)
            raise
    return [found[file] for file in files]


def obtain(image_set: ImageSet, missing: Sequence[DataFile], places: Sequence[Path],
           root: Root) -> List[Path]:
    """Download the missing files, or take them out of the archive; their paths, in order."""
    folder = user_folder(root) if root else mxnet_folder(image_set)
    if not image_set.archive:
        return [download(image_set, file, folder) for file in missing]
    archive = (find_file(image_set, image_set.archive, places)
               or download(image_set, image_set.archive, folder))
    return unpack(image_set, archive, missing)


def explain(error: DownloadError, image_set: ImageSet, missing: Sequence[DataFile],
            places: Sequence[Path], root: Root) -> str:
    """The message of a failed download, with where the files were looked for and what to do."""
    names = ", ".join(file.name for file in missing)
    where = f"{root} or the other places" if root else ", ".join(map(str, places))
    what = f"that file, from {image_set.sources[0]}," if image_set.archive else "the files"
    return (f"no {image_set.title}: {names} not found in {where}, and {error} Put {what} there, or "
            "name their folder with --data-dir or NIN_GLUON_DATA.")


@functools.lru_cache(maxsize=None)
def notice(text: str) -> None:
    """Log a line once, even if both splits of a set give rise to it."""
    log.warning(text)
