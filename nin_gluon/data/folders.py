"""Where the files of an image set are looked for."""

import os
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional, Union

from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.regular_files import is_file
from nin_gluon.errors import InputError, why

__all__ = ["Root", "data_folders", "find_file", "mxnet_folder", "user_folder"]

Root = Union[None, str, Path]  # the folder that the user named, if any


def data_folders(image_set: ImageSet, root: Root = None) -> Iterator[Path]:
    """The folders to look in, in this order.

    `root` (``--data-dir``), the environment variable ``NIN_GLUON_DATA``, and MXNet's own data
    folder. Each of the first two may be the folder of the files or the one above it.

    Raises
    ------
    InputError
        A folder that the user named is a file or cannot be looked into, or ``NIN_GLUON_DATA`` is
        the only one and does not exist.
    """
    named = {"the data folder": root, "NIN_GLUON_DATA": os.environ.get("NIN_GLUON_DATA")}
    for named_by, place in named.items():
        if not place:
            continue
        folder = user_folder(place)
        try:
            exists, is_folder = folder.exists(), folder.is_dir()
        except OSError as error:
            raise InputError(f"{named_by} {folder} cannot be looked into ({why(error)}); give "
                             f"the folder that holds the files of {image_set.title}.") from None
        if exists and not is_folder:
            raise InputError(f"{named_by} {folder} is a file; give the folder that holds the "
                             f"files of {image_set.title}.")
        if named_by == "NIN_GLUON_DATA" and not exists and not root:
            raise InputError(f"NIN_GLUON_DATA names {folder}, which does not exist; correct it or "
                             "take it out of the environment.")
        yield from (folder / name for name in (image_set.name, *image_set.folders, ""))
    yield mxnet_folder(image_set)


def user_folder(place: Union[str, Path]) -> Path:
    """The path that the user wrote, with ``~`` replaced by the home folder."""
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise InputError(f"{place} begins with the home folder of a user that does not exist here; "
                         "write out the path.") from None


def mxnet_folder(image_set: ImageSet) -> Path:
    """MXNet's own folder for this set, where Gluon's data set classes keep their files."""
    home = os.environ.get("MXNET_HOME") or "~/.mxnet"
    return user_folder(Path(home, "datasets", image_set.name))


def find_file(image_set: ImageSet, file: DataFile, places: Iterable[Path],
              accept: Callable[[Path], bool] = lambda path: True) -> Optional[Path]:
    """The first accepted path that holds the file, compressed as published or not; else None.

    Raises
    ------
    InputError
        Something that is no readable file bears the file's name.
    """
    names = (file.name, file.name[:-3]) if file.name.endswith(".gz") else (file.name,)
    expected = f"the file {file.name} of {image_set.title}"
    paths = (place / name for place in places for name in names)
    return next((path for path in paths if is_file(path, expected) and accept(path)), None)
