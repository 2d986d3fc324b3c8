"""``--tensorboard``: what a run does, as event files for TensorBoard, in ``RUN/tensorboard``.

The files are written by TensorBoard's own writer. It needs neither TensorFlow nor PyTorch, and
whoever wants to see the files has it anyway.

There are two folders, which TensorBoard shows as two runs: in ``epochs`` the horizontal axis counts
epochs, in ``steps`` training steps. When a run goes on, each begins with an event that makes
readers drop what an attempt that was killed wrote beyond its checkpoint.
"""

import struct
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from nin_gluon import plots
from nin_gluon.atomic_files import explained
from nin_gluon.data.sets import DATASETS
from nin_gluon.settings import Settings
from nin_gluon.training.engine import Engine
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Callback
from nin_gluon.training.tally import Tally

__all__ = ["TensorBoard"]

IMAGES = 4  # whose class maps are shown


class TensorBoard(Callback):
    """Writes losses, accuracies, the learning rate, norms, class maps and settings.

    It reads what the engine has and changes nothing, so the run stays the same to the bit.

    Parameters
    ----------
    folder : Path
        ``RUN/tensorboard``.
    engine : Engine
    settings : Settings
    marks : list of dict
        `nin_gluon.training.callbacks.Progress.marks`, which grows while the run goes on.
    train_iter, test_iter : BatchLoader
    history : list of EpochRecord
    tally : Tally
        Where the run starts.
    """

    def __init__(self, folder: Path, engine: Engine, settings: Settings,
                 marks: List[Dict[str, float]], train_iter: Any, test_iter: Any,
                 history: List[EpochRecord], tally: Tally) -> None:
        self.engine, self.settings, self.marks, self.test_iter = engine, settings, marks, test_iter
        self.steps_per_epoch, self.written = len(train_iter), len(marks)
        self.epoch, self.step = tally.epoch, tally.step
        done = self.measured = self.steps_done()  # measured: the step of the last norms
        self.by_epoch = EventFile(folder / "epochs", len(history) + 1 if done else 0)
        self.by_step = EventFile(folder / "steps", done + 1 if done else 0)
        self.shown, self.labels = first_images(engine, test_iter)
        if not done:
            self.by_epoch.text("settings", settings_table(settings), 0)
            self.write_class_maps(0)

    def steps_done(self) -> int:
        """Training steps since the run began."""
        return (self.epoch - 1) * self.steps_per_epoch + self.step

    def on_train_batch_end(self, tally: Tally) -> None:
        self.epoch, self.step = tally.epoch, tally.step
        self.write_marks()

    def on_test_batch_end(self) -> None:
        self.write_marks()  # the epoch's last one comes with the first test batch

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        record = history[-1]
        values = {"epoch/loss": record.loss, "epoch/train acc": record.train_acc,
                  "epoch/test acc": record.test_acc, "epoch/seconds": record.seconds}
        if record.living is not None:
            values["epoch/living classes"] = len(record.living)
        self.by_epoch.scalars(values, record.epoch)
        self.write_class_maps(record.epoch)

    def write_marks(self) -> None:
        """Write the marks that have been added, and the norms with them."""
        if self.written == len(self.marks):
            return
        for mark in self.marks[self.written :]:
            self.by_step.scalars({"step/loss": mark["loss"], "step/train acc": mark["train_acc"]},
                                 round(mark["step"]))
        self.written = len(self.marks)
        if self.steps_done() > self.measured:
            self.measured = self.steps_done()
            self.write_norms()

    def write_norms(self) -> None:
        """Write the learning rate and the norms as they are now."""
        norms = self.engine.norms()
        values = {"step/learning rate": self.engine.last_learning_rate()}
        for i, what in enumerate(("parameter", "gradient")):
            each = {f"{what} norm/{name}": pair[i] for name, pair in norms.items()}
            values.update({f"step/{what} norm": float(np.linalg.norm([*each.values()])), **each})
        self.by_step.scalars(values, self.steps_done())

    def write_class_maps(self, epoch: int) -> None:
        """Draw the class maps of the same few test images as always."""
        dataset = DATASETS[str(self.settings.dataset)]
        X = next(iter(self.test_iter))[0][: len(self.shown)]
        maps, scores = self.engine.maps_and_scores(X)
        size = self.settings.edge  # X may still be as the set has it
        figure = plots.draw_class_maps(
            self.shown, maps, scores, self.labels, dataset.classes,
            self.engine.receptive_field(), (size, size),
            f"{dataset.title}: {self.settings.model}, after epoch {epoch}")
        self.by_epoch.picture("class maps", plots.png(figure, "nin_gluon"), epoch)

    def close(self) -> None:
        """Close the files."""
        self.by_epoch.close()
        self.by_step.close()


def first_images(engine: Engine, test_iter: Any) -> Tuple[np.ndarray, np.ndarray]:
    """The first test images, uint8, and their labels."""
    X, y = next(iter(test_iter))
    shown = min(IMAGES, len(X))
    return engine.to_numpy(test_iter.images[:shown]), engine.to_numpy(y[:shown])


def settings_table(settings: Settings) -> str:
    """The settings as a table in Markdown."""
    def cell(value: Any) -> str:
        return "" if value is None else str(value).replace("|", "\\|")

    return "\n".join(["| setting | value |", "| --- | --- |", *(
        f"| {name} | {cell(value)} |" for name, value in settings.to_json().items())])


def wait_for_a_later_name(folder: Path) -> None:
    """Return once a new event file is sorted after those in the folder.

    Readers take files in the order of their names, which have the second in them. Two parts of a
    run that start within one second could be read the wrong way round.
    """
    names = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    latest = max((int(name) for name in names if name.isdigit()), default=0)
    time.sleep(max(0.0, latest + 1 - time.time()) if latest <= time.time() else 0)


class EventFile:
    """An event file in a folder; what is added is on the disk when the method returns.

    Parameters
    ----------
    folder : Path
        Made if need be. Files of earlier parts of the run stay there.
    first : int
        The first step that this file may hold. Readers drop it and all later ones from the files
        before.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.folder, self.Event = folder, Event
        wait_for_a_later_name(folder)
        with explained(folder):
            self.writer = EventFileWriter(str(folder))
        self.add(first, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, **content: Any) -> None:
        with explained(self.folder):
            self.writer.add_event(self.Event(wall_time=time.time(), step=step, **content))
            self.writer.flush()

    def summary(self, step: int, values: Sequence[Dict[str, Any]]) -> None:
        """Add values, each the fields of a ``Summary.Value``."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self.add(step, summary=Summary(value=[Summary.Value(**value) for value in values]))

    def scalars(self, values: Dict[str, float], step: int) -> None:
        self.summary(step, [{"tag": tag, "simple_value": value} for tag, value in values.items()])

    def picture(self, tag: str, png: bytes, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])  # as the header of a PNG has them
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self.summary(step, [{"tag": tag, "image": image}])

    def text(self, tag: str, markdown: str, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
        self.summary(step, [{"tag": tag, "metadata": metadata, "tensor": tensor}])

    def close(self) -> None:
        self.writer.close()
