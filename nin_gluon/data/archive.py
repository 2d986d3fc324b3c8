"""Unpacking the archive in which an image set is published."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Dict, List, Sequence

from nin_gluon.atomic_files import make_folder, replacing
from nin_gluon.data.checksums import is_genuine
from nin_gluon.data.folders import mxnet_folder
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.regular_files import bad_file
from nin_gluon.errors import InputError, why

__all__ = ["unpack"]


def unpack(image_set: ImageSet, archive: Path, files: Sequence[DataFile]) -> List[Path]:
    """Take files out of the archive and return their paths.

    They go beside the archive, or to MXNet's folder if the archive's may not be written to.

    Raises
    ------
    InputError
        The archive is damaged or another one, or another file is in the way.
    WriteError
        The folder cannot be written to.
    """
    assert image_set.archive
    # Nothing of an archive is interpreted unless it is the published one, byte for byte.
    if not is_genuine(archive, image_set.archive):
        raise bad_file(
            archive, f"is not the published archive of {image_set.title}, or is damaged",
            f"checksum {image_set.archive.checksums[0]}")
    folder = archive.parent if os.access(archive.parent, os.W_OK) else mxnet_folder(image_set)
    wanted = {file.name: file for file in files}
    for name, file in wanted.items():
        place = folder / name  # another process may have unpacked it meanwhile
        if os.path.lexists(place) and not (place.is_file() and is_genuine(place, file)):
            raise InputError(f"{folder / name} is in the way of the official {image_set.title}: it "
                             "has another content; move it away.")
    make_folder(folder)
    try:
        extracted = extract(archive, wanted, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        found = why(error) if isinstance(error, OSError) else str(error).split("\n")[0].rstrip(":")
        raise bad_file(archive, f"cannot be unpacked ({found})",
                       f"the published archive of {image_set.title}") from None
    missing = [name for name in wanted if name not in extracted]
    if missing:
        raise bad_file(archive, f"lacks {', '.join(missing)}", f"all files of {image_set.title}")
    return [extracted[file.name] for file in files]


def extract(archive: Path, wanted: Dict[str, DataFile], folder: Path) -> Dict[str, Path]:
    """Extract the wanted members into the folder: {name: path} of those that were there."""
    extracted = {}
    with tarfile.open(archive) as tar:
        for member in tar:  # one pass: going back would decompress everything once more
            file = wanted.get(Path(member.name).name)
            content = tar.extractfile(member) if file and member.isfile() else None
            if not file or not content:
                continue
            if file.size is not None and member.size != file.size:
                raise tarfile.ReadError(f"{member.name} has {member.size:,} bytes and not "
                                        f"{file.size:,}")
            with replacing(folder / file.name) as temporary, open(temporary, "wb") as out:
                shutil.copyfileobj(content, out)
            extracted[file.name] = folder / file.name
    return extracted
