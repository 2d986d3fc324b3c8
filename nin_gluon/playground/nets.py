"""The nets that the page offers: the trained net of the package, and runs of the user's own."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from nin_gluon.analysis.trained_net import TrainedNet, load_run, load_weights
from nin_gluon.data.sets import SHAPES, has_image_set
from nin_gluon.errors import InputError
from nin_gluon.exports.layers import layers_of
from nin_gluon.pretrained import Weights, read_packaged
from nin_gluon.settings import Settings
from nin_gluon.training.history import history_of
from nin_gluon.training.run_folder import read_config
from nin_gluon.training.saved_parameters import newest_parameters

__all__ = ["Nets"]
PRETRAINED = ":pretrained"  # the id of the package's net; that of a run is its folder

KEPT = 4  # nets in memory
POSITIONS = 24  # of the slider, roughly


@dataclass
class Nets:
    """Finds and loads the nets.

    Attributes
    ----------
    named : sequence of str
        Run folders that the user named.
    folder : Path
        Runs in it are offered, too.
    ctx, engine, data_dir
        As of `nin_gluon.analysis.trained_net.load_run`.
    missing : str
        Why the package's net is not among them; empty if it is.
    """

    named: Sequence[str]
    folder: Path
    ctx: str = "auto"
    engine: Optional[str] = None
    data_dir: Optional[str] = None

    def __post_init__(self) -> None:
        self.loaded: Dict[Tuple[str, str], TrainedNet] = {}
        self.packaged: Optional[Weights] = None
        self.missing = ""
        self.known: List[str] = []
        try:
            self.packaged = read_packaged("nin")
        except InputError as error:
            self.missing = str(error)

    def ids(self) -> List[str]:
        """What there is to choose from: named runs, the package's net, the newest other runs."""
        found = list(dict.fromkeys(self.named)) + ([PRETRAINED] if self.packaged else [])
        named = {Path(name).resolve() for name in self.named}
        self.known = found + [run for run in runs_in(self.folder)
                              if Path(run).resolve() not in named]
        return self.known

    def get(self, name: str) -> TrainedNet:
        """The net of an id, with its newest parameters.

        Arithmetic is float32, because MXNet cannot leave bfloat16 again within a process.

        Raises
        ------
        KeyError
            `ids` has not named it.
        InputError
            The net cannot be loaded.
        """
        if name not in self.known:
            raise KeyError(name)
        version = "" if name == PRETRAINED else str(newest_parameters(Path(name))[0])
        net = self.loaded.pop((name, version), None) or self.read(name)
        self.loaded[name, version] = net  # the one used last is last
        while len(self.loaded) > KEPT:
            del self.loaded[next(iter(self.loaded))]
        return net

    def facts(self, name: str) -> Dict[str, Any]:
        """What the page says of a net, JSON-ready; raises as `get`."""
        net = self.get(name)
        if name == PRETRAINED and self.packaged:
            trained, accuracy = self.packaged.settings, self.packaged.evaluation["accuracy"]
            epochs = trained.epochs
        else:
            trained, (epochs, accuracy) = net.settings, so_far(Path(name))
        return {
            "id": name, "engine": net.settings.engine, "model": trained.model,
            "classes": list(net.classes), "shape": list(net.shape), "field": list(net.field),
            "dataset": trained.dataset, "limit": trained.limit, "accuracy": accuracy,
            "held_out": bool(trained.validation), "epochs": epochs,
            "planned_epochs": trained.epochs, "size": net.image_size[0], "sizes": sizes_of(net),
            "fixed": fixed_by(net.settings)}

    def read(self, name: str) -> TrainedNet:
        if name == PRETRAINED and self.packaged:
            return load_weights(self.packaged, self.ctx, self.engine, data_dir=self.data_dir)
        config = read_config(Path(name))
        where = replace(config.environment,
                        data_dir=self.data_dir or config.environment.data_dir)
        config = replace(config, settings=config.settings.but(dtype="float32"), environment=where)
        settings, data_dir = config.settings, config.environment.data_dir
        dataset = str(settings.dataset)
        if settings.preprocess in ("standardize", "zca") and not has_image_set(dataset, "train",
                                                                               data_dir):
            raise InputError(f"{name} prepares images by the training images of {dataset}, which "
                             "are not on this machine; name their folder with --data-dir.")
        return load_run(Path(name), config, self.ctx, self.engine)


def runs_in(folder: Path) -> List[str]:
    """The run folders in a folder that have saved a net which can be shown, the newest first."""
    found = []
    for config in folder.glob("*/config.json"):
        try:
            read_config(config.parent)  # refuses the runs of the book's PyTorch edition
            path, _ = newest_parameters(config.parent)
            found.append((path.stat().st_mtime, str(config.parent)))
        except (InputError, OSError):
            continue
    return [run for _, run in sorted(found, reverse=True)]


def so_far(run: Path) -> Tuple[int, Optional[float]]:
    """How many epochs a run has done, and its last test accuracy."""
    history = history_of(run)
    return len(history), history[-1].test_acc if history else None


def fixed_by(settings: Settings) -> Optional[str]:
    """What ties the net to images of the size that it was trained on, if anything does."""
    if any(layer.kind == "dense" for layer in layers_of(settings)):
        return "dense"
    return "preprocess" if settings.preprocess in ("gcn", "zca") else None


def sizes_of(net: TrainedNet) -> List[int]:
    """The sizes in pixels that the page offers, from the smallest to twice the run's."""
    size = net.image_size[0]
    if fixed_by(net.settings):
        return [size]
    largest = max(2 * size, 3 * net.smallest)
    step = max(1, round((largest - net.smallest) / POSITIONS))
    step = step if step < 6 else 8 * max(1, round(step / 8))
    steps = range(step * (net.smallest // step + 1), largest + 1, step)
    return sorted({net.smallest, size, SHAPES[str(net.settings.dataset)][0], *steps}
                  - set(range(net.smallest)))
