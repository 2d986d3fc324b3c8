"""Training logs of the book's editions in notebooks and text files.

Editions differ in what they print:

- d2lzh, gluonbook and their PyTorch ports print a line an epoch:
  ``epoch 1, loss 2.2627, train acc 0.154, test acc 0.362, time 24.1 sec``;
  some copies number it ``epoch: 1/10``, and the first drafts of the book, which the mlpconv
  article follows, count from 0: ``Epoch 0. Loss: 1.1, Train acc 0.6, Test acc 0.7, Time 9 sec``,
  or with ``Train_acc`` and ``Test_acc``.
- The later editions for MXNet, PyTorch, TensorFlow and Paddle draw the epochs and print two lines
  at the end: ``loss 0.352, train acc 0.871, test acc 0.874`` and
  ``1721.5 examples/sec on cuda:0``. The plot is read by `nin_gluon.experiments.atlas.svg_plots`.
- The last edition, with its Trainer, prints nothing; only its plot tells.

A notebook is read as JSON and never executed. Its code is searched for the framework and the
recipe; nothing of it is run.
"""

import logging
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

from nin_gluon.checked_files import BadFile, parse_json, read_text, reason
from nin_gluon.errors import InputError
from nin_gluon.experiments.atlas.notebook_code import NotebookCode, Told
from nin_gluon.experiments.atlas.published_logs import (
    MAX_EPOCHS,
    PLOT_ERROR,
    PRINT_ERROR,
    QUANTITIES,
)
from nin_gluon.experiments.atlas.svg_plots import read_plot

__all__ = ["ParsedLog", "parse_file", "parse_text"]

log = logging.getLogger(__name__)

# A notebook of the book has less than 1 MB and one log. The limits keep the time that a wrong file
# can take short.
MAX_BYTES = 20_000_000
MAX_LOGS = 100
FURTHEST = 0.7  # training accuracy of a first epoch; published runs reach 0.585
MAX_LINE = 500  # characters; the lines looked for are far shorter

NUMBER = r"([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"
FIGURES = rf"loss:? +{NUMBER}, +train[ _]acc:? +{NUMBER}, +test[ _]acc:? +{NUMBER}"
EPOCH = re.compile(rf"\bepoch:? +\[?(\d+)(?: ?/ ?(\d+))?\]?[.,:]? +(?:train )?{FIGURES}", re.I)
ESCAPES = re.compile("\x1b\\[[0-9;]*m")  # colours in terminals
CLOSING = re.compile(FIGURES, re.I)
RATE = re.compile(r"\d exam(?:ples|pes)/sec on (\S.*)")  # the first d2l editions misspell it
TRAINING_ON = re.compile(r"^\W*(?:text\W+)?training on:? +(\S.*)", re.I)
# A line's end that is spelt out, as in notebooks made into Markdown; where lines were joined, an
# epoch begins the next.
LINE_END = re.compile(r"\\n|(?=\bepoch:? +\d)", re.I)

PYTHON = re.compile(r"^```[ \t{.]*python[^\n]*\n(.*?)^```", re.M | re.S | re.I)
DEVICES = {"pytorch": r"^cuda\b", "tensorflow": r"^/[GC]PU:\d", "paddle": r"^Place\("}


@dataclass(frozen=True)
class ParsedLog:
    """What a file tells of one run; None or empty where it does not tell."""

    values: Dict[str, List[Optional[float]]] = field(default_factory=dict)  # by quantity, by epoch
    read_from: str = "printed"
    epochs: Optional[int] = None  # of the recipe
    device: Optional[str] = None
    framework: Optional[str] = None
    recipe: Optional[str] = None


def parse_file(path: Union[str, Path]) -> List[ParsedLog]:
    """The training logs in a notebook (``.ipynb``) or a text file, in their order.

    Raises
    ------
    InputError
        The file cannot be read, is damaged, or holds no log.
    """
    path = Path(path)
    is_notebook = path.suffix.lower() == ".ipynb"
    try:
        text = read_text(path, MAX_BYTES, "utf-8-sig")
        # Other programs write notebooks, and what their outputs hold may be nested deeply.
        logs = (parse_notebook(parse_json(text, most_depth=200, allow_nan=True)) if is_notebook
                else parse_document(text))
    except FileNotFoundError:
        raise InputError(f"{path} is not a file; expected a notebook (.ipynb) or a text file."
                         ) from None
    except BadFile:
        raise
    except ValueError as error:
        kind = "a notebook" if is_notebook else "text of logs"
        raise InputError(f"{path} cannot be read as {kind} ({reason(error)}).") from None
    if not logs:
        raise InputError(
            f"{path} holds no training log; expected lines such as \"epoch 1, loss 2.2627, train "
            "acc 0.154, test acc 0.362, time 24.1 sec\" or \"loss 0.352, train acc 0.871, test acc "
            "0.874\".")
    return logs


# ------------------------------------------------------------------ text


def parse_text(text: str) -> List[ParsedLog]:
    """The training logs in printed text.

    A run's lines begin anew at its first epoch. Raises ValueError if epochs are missing, or if the
    text breaks off in a line: its last number may have lost digits.
    """
    logs: List[ParsedLog] = []
    rows: List[Tuple[Optional[float], ...]] = []  # of the run whose lines are being read
    lines: List[re.Match[str]] = []  # of the same run
    device: Optional[str] = None
    first = 1  # number of its first epoch
    for line in LINE_END.sub("\n", ESCAPES.sub("", text)).splitlines():
        if len(line) > MAX_LINE:  # cut between words: a number must not lose digits
            line = line[:MAX_LINE].rpartition(" ")[0]
        epoch, closing = EPOCH.search(line), CLOSING.search(line)
        if epoch:
            number = int(epoch[1])
            if not rows or number <= first + len(rows) - 1:
                first, rows, lines = number, [], []
                logs.append(ParsedLog({name: [] for name in QUANTITIES}, device=device))
                if first > 1:
                    raise ValueError(f"a log begins with epoch {first}")
            if number != first + len(rows) or len(rows) >= MAX_EPOCHS:
                raise ValueError(f"epoch {number} where epoch {first + len(rows)} belongs")
            rows.append(tuple(map(to_number, epoch.groups()[2:])))
            lines.append(epoch)
            planned = int(epoch[2]) if epoch[2] else logs[-1].epochs
            for name, value in zip(QUANTITIES, rows[-1]):
                logs[-1].values[name].append(value)
            logs[-1] = replace(logs[-1], epochs=planned)
        elif closing:
            row = tuple(map(to_number, closing.groups()))
            # The later editions' closing lines; they may follow lines of the same run.
            if not (rows and all(same(a, b) for a, b in zip(row, rows[-1]))):
                logs.append(ParsedLog({name: [value] for name, value in zip(QUANTITIES, row)},
                                  "last line", device=device))
            rows = []
        else:
            told = RATE.search(line) or TRAINING_ON.search(line)
            if told:
                device = clean_device(told[1])
                if logs and told.re is RATE:
                    logs[-1], device = replace(logs[-1], device=device), None
    if rows and breaks_off(lines, text):
        raise ValueError(f"the line of epoch {first + len(rows) - 1} is cut off")
    return [with_framework_of_device(log) for log in logs]


def parse_document(text: str) -> List[ParsedLog]:
    """The training logs in a text that may show Python code in Markdown's fences."""
    first, *pairs = PYTHON.split(text)
    code = NotebookCode()
    logs = parse_text(first)
    for source, after in zip(pairs[::2], pairs[1::2]):
        code.read(source)
        logs += [with_code(log, code.told(), []) for log in parse_text(after)]
    return logs


def breaks_off(lines: List["re.Match[str]"], text: str) -> bool:
    """Whether the last of a run's lines is cut within its figures, to judge by those before it."""
    *before, last = lines
    timed = [", time" in line.string[line.end():] for line in before]
    if not before or ", time" in last.string[last.end():]:
        return False
    # Without a line's end after it, the last number may lack digits.
    fewer = all(len(line[5]) > len(last[5]) for line in before)
    return all(timed) or (text.endswith(last[0]) and fewer)


def to_number(text: str) -> Optional[float]:
    """The number, or None for nan and inf: that epoch has no such value."""
    value = float(text)
    return value if math.isfinite(value) else None


def same(a: Optional[float], b: Optional[float]) -> bool:
    return a == b or (a is not None and b is not None and abs(a - b) < PRINT_ERROR)


def clean_device(text: str) -> str:
    """``cuda:0`` from ``[cuda:0], [2024-05-30 23:58:43]`` and ``cuda:0 - [0:00:13:58]``."""
    words = text.strip().split(" - ")[0].split(", ")[0].strip("[] ")
    return "".join(c for c in words if c.isprintable())[:80]


def with_framework_of_device(log: ParsedLog) -> ParsedLog:
    """The log with its framework, where the way it names its device tells."""
    device = log.device or ""
    for framework, pattern in DEVICES.items():
        if re.match(pattern, device):
            return replace(log, framework=framework)
    if re.match(r"[gc]pu\(\d", device):
        return replace(log, framework="mxnet-np" if log.read_from == "last line" else "mxnet")
    return log


# ------------------------------------------------------------------ notebooks


def parse_notebook(content: Any) -> List[ParsedLog]:
    """The training logs in a notebook's outputs; ValueError if it is none.

    A cell's broken log, such as that of a resumed run, is left out where there are whole ones.
    """
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise ValueError("it has no list of cells")
    logs: List[ParsedLog] = []
    broken: Optional[ValueError] = None
    code = NotebookCode()
    for cell in content["cells"]:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        code.read(joined(cell.get("source")))
        outputs = cell.get("outputs")
        printed, plots = split_outputs(outputs if isinstance(outputs, list) else [])
        try:
            found = parse_text(printed)
        except ValueError as error:
            broken = error
            continue
        if not found and plots and code.call:
            found = [ParsedLog(read_from="plot")]  # the Trainer edition, or a run broken off
        if len(logs) + len(found) > MAX_LOGS:
            raise ValueError(f"it holds more than {MAX_LOGS} logs")
        if found:
            told = code.told()
            if len(found) > 1:  # runs of a loop, or of several calls: which is which?
                told, plots = replace(told, recipe=None), []
            logs += [with_code(log, told, plots) for log in found]
    logs = [parsed for parsed in logs if parsed.values]
    if broken and not logs:
        raise broken
    if broken:
        log.warning("left out: a log in a cell of its own (%s)", broken)
    return logs


def split_outputs(outputs: Iterable[Any]) -> Tuple[str, List[str]]:
    """(what a cell printed, its SVG pictures)."""
    printed, plots = "", []
    for output in outputs:
        if not isinstance(output, dict):
            continue
        if output.get("output_type") == "stream":
            printed += joined(output.get("text"))
        elif isinstance(output.get("data"), dict):
            svg = joined(output["data"].get("image/svg+xml"))
            if svg:
                plots.append(svg)
    return printed, plots


def joined(text: Any) -> str:
    """A notebook's text, which is a string or a list of strings."""
    if isinstance(text, list):
        return "".join(part for part in text if isinstance(part, str))
    return text if isinstance(text, str) else ""


def with_code(log: ParsedLog, told: Told, plots: List[str]) -> ParsedLog:
    """The log with what the notebook's code and the cell's plot tell of it."""
    log = replace(log, framework=told.framework or log.framework, recipe=told.recipe,
                  epochs=log.epochs or told.epochs)
    if log.read_from != "printed" and plots:
        # A cell that draws while it trains keeps only the last picture.
        log = with_plot(log, read_plot(plots[-1], MAX_EPOCHS))
    return if_new(log)


def if_new(parsed: ParsedLog) -> ParsedLog:
    """The log, without a recipe if it cannot be that of a net that was new."""
    first = (parsed.values.get("train_acc") or [None])[0]
    if parsed.read_from == "last line" or first is None or first <= FURTHEST:
        return parsed
    log.warning("a log begins at a training accuracy of %.3f, so its net was not new", first)
    return replace(parsed, recipe=None)


def with_plot(log: ParsedLog,
              drawn: Optional[Dict[str, List[Optional[float]]]]) -> ParsedLog:
    """The log with the values of the epochs that were only drawn; what is printed goes first."""
    if drawn is None:
        return log
    ends = [epoch for epoch, value in enumerate(drawn["test_acc"], 1) if value is not None]
    if not ends:
        return log
    done, last = ends[-1], drawn["test_acc"][ends[-1] - 1]
    printed = log.values.get("test_acc", [None])[-1]
    if printed is not None and last is not None and abs(printed - last) > PLOT_ERROR:
        return log  # a picture of another run
    # Only a run that was broken off, and has not printed its last line, did less than it was to.
    if log.epochs and (done > log.epochs or printed is not None and done < log.epochs):
        log = replace(log, epochs=done, recipe=None)  # the code was changed after the run
    values = {name: drawn[name][:done] for name in QUANTITIES if name in drawn}
    for name, column in log.values.items():
        if name in values and column[-1] is not None:
            values[name][-1] = column[-1]
    return replace(log, values=values, read_from="plot", epochs=log.epochs or done)
