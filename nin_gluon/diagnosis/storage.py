"""The data sets that are at hand, and the folders that are written to. Nothing is written."""

import os
import shutil
from pathlib import Path
from typing import Any, Dict, List

from nin_gluon.data.checksums import is_genuine
from nin_gluon.data.folders import data_folders, find_file, mxnet_folder
from nin_gluon.data.image_set import ImageSet
from nin_gluon.data.own_set import own_files
from nin_gluon.data.sets import PUBLISHED
from nin_gluon.errors import InputError, why

__all__ = ["describe_data", "describe_places", "describe_set"]

LEAST_FREE = 2**30  # bytes; less than that, and a few checkpoints fill the disk


def describe_data() -> List[Dict[str, Any]]:
    """What is at hand of each published data set; see `describe_set`."""
    return [describe_set(image_set) for image_set in PUBLISHED.values()]


def describe_set(image_set: ImageSet) -> Dict[str, Any]:
    """Look for the files of a data set where a run would, and check them; download nothing.

    Returns
    -------
    dict
        ``name``, ``title``; ``state``: ``official`` (complete, every checksum right), ``archive``
        (complete once it is unpacked), ``own`` (files of the user's own), ``damaged``,
        ``incomplete``, ``missing``, or ``unreadable``; ``folders`` with the files; ``missing``,
        names of files; ``problem``, text or None.
    """
    found: Dict[str, Any] = {"name": image_set.name, "title": image_set.title, "state": "missing",
                             "folders": [], "missing": [], "problem": None}
    try:
        if image_set.own and look_for_own_files(image_set, found):
            return found
        look_for_published_files(image_set, found)
    except InputError as error:
        found.update(state="unreadable", problem=str(error))
    return found


def look_for_own_files(image_set: ImageSet, found: Dict[str, Any]) -> bool:
    """Note the user's own files in `found`; whether there are any.

    Raises
    ------
    InputError
        They lack a split, or do not have the right form.
    """
    for split in image_set.splits:
        paths = own_files(image_set, split)
        if not paths:
            return False
        image_set.read(paths, split)
        note_folders(found, paths)
    found["state"] = "own"
    return True


def look_for_published_files(image_set: ImageSet, found: Dict[str, Any]) -> None:
    """Note in `found` which of the published files are at hand, and whether they are genuine."""
    places = list(data_folders(image_set))
    files = [file for split in image_set.splits.values() for file in split]
    paths = {file: find_file(image_set, file, places) for file in files}
    present = {file: path for file, path in paths.items() if path is not None}
    foreign = [path for file, path in present.items() if not is_genuine(path, file)]
    archive = image_set.archive and find_file(image_set, image_set.archive, places)
    note_folders(found, present.values())
    found["missing"] = [file.name for file, path in paths.items() if path is None]
    if foreign:
        found.update(state="damaged", problem=(
            f"{foreign[0]} does not have a checksum of {image_set.title}; put the right file "
            "there, or move this one away so that it is looked for elsewhere and downloaded"))
    elif not found["missing"]:
        found["state"] = "official"
    elif archive and image_set.archive and is_genuine(archive, image_set.archive):
        found.update(state="archive", missing=[])
        note_folders(found, [archive])
    elif present:
        found["state"] = "incomplete"


def note_folders(found: Dict[str, Any], paths: Any) -> None:
    """Add the folders of these files to those noted, each once."""
    for path in paths:
        if str(path.parent) not in found["folders"]:
            found["folders"].append(str(path.parent))


def describe_places() -> List[Dict[str, Any]]:
    """The folders that a run writes to: ``what``, ``path``, ``writable``, ``free_bytes``,
    ``problem``.
    """
    places = []
    for what, find in (("runs", lambda: Path.cwd() / "runs"),
                       ("downloads", lambda: mxnet_folder(PUBLISHED["fashion-mnist"]))):
        try:
            places.append(describe_place(what, find()))
        except (OSError, InputError) as error:
            text = why(error) if isinstance(error, OSError) else str(error)
            places.append({"what": what, "path": None, "writable": False, "free_bytes": None,
                           "problem": text})
    return places


def describe_place(what: str, path: Path) -> Dict[str, Any]:
    """One of the folders, which need not exist yet."""
    existing = next((place for place in (path, *path.parents) if os.path.lexists(place)),
                    Path(path.anchor))
    is_folder = existing.is_dir()
    writable = is_folder and os.access(existing, os.W_OK | os.X_OK)
    free = shutil.disk_usage(existing).free if is_folder else None
    problem = None
    if not is_folder:
        problem = f"{existing} is in the way: it is not a folder; move it away"
    elif not writable:
        problem = f"{existing} cannot be written to; change its permissions, or choose another"
    elif free is not None and free < LEAST_FREE:
        problem = f"{existing} has {free / 2**20:.0f} MiB free; free some space"
    return {"what": what, "path": str(path), "writable": writable, "free_bytes": free,
            "problem": problem}
