"""What to do about a package of the book that a program imports and that is not there."""

import re

__all__ = ["advice"]

ADVICE = {
    "d2lzh": "d2lzh is the package of the book's first edition: pip install d2lzh==1.0.0",
    "gluonbook": "gluonbook is what d2lzh was before it became a package: a folder of the book. "
                 "Put it beside the chapter's folder, as in the book of that time.",
    "d2l": "d2l is the package of the book's later editions: pip install --no-deps d2l==0.17.6 "
           "&& pip install 'pandas<2' (1.0.3 in place of 0.17.6 if the program uses d2l.Trainer)",
}


def advice(message: str) -> str:
    """A line to print after an error with this message; '' if it is about something else."""
    found = re.search(r"No module named '(\w+)'", message)
    line = ADVICE.get(found[1]) if found else None
    return f"{line}\n" if line else ""
