"""``python -m nin_gluon.confidence``: the classes' maps over the images, and whether they fit."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from nin_gluon.atomic_files import write_text
from nin_gluon.cli import ArgumentParser, add_net_options, command, load_net, new_picture, number
from nin_gluon.errors import InputError
from nin_gluon.settings import Settings, at_least_0, positive
from nin_gluon.text_tables import columns
from nin_gluon.training.run_folder import read_config

if TYPE_CHECKING:
    from nin_gluon.analysis.trained_net import TrainedNet

DESCRIPTION = """\
Draw the maps of the ten classes, which a trained net's last block makes, over the images. Also
measure on the test set whether the map of the right class responds where the object is, which is
the chapter's idea.

  python -m nin_gluon.confidence runs/...                    the first test images, and the numbers
  python -m nin_gluon.confidence --first 20 --skip 100 runs/...
  python -m nin_gluon.confidence runs/... --images shoe.jpg bag.png --invert    images of your own
"""

EPILOG = """\
Leaves confidence.png and confidence.json in the run folder, or where --out says. Fashion-MNIST's
garments are light on black: photographs on a light ground need --invert.
"""

ROWS = 100  # of the picture; some hundreds would be too large to draw


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.confidence", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder of the train command")
    add("--images", nargs="+", metavar="FILE",
        help="show these images in place of the set's, and leave the test set alone")
    add("--invert", action="store_true", help="swap light and dark in --images")
    add("--first", type=number(int, positive), metavar="N",
        help=f"show so many test images, {ROWS} at most (default: 8)")
    add("--skip", type=number(int, at_least_0), metavar="N",
        help="leave out the first N test images when showing (default: 0)")
    add("--limit", type=number(int, positive), metavar="N",
        help="take the numbers from the first N only of the test images that the run used")
    add("--out", metavar="PICTURE", help="the picture (png, pdf or svg); the numbers go beside it")
    add_net_options(parser)
    add("--no-progress", action="store_true", help="no progress bar")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    run = Path(args.run)
    config = read_config(run)
    check_options(args)
    picture, numbers = outputs(run, args.out)

    shown = show(load_net(args.run, args), args, picture)

    from nin_gluon.experiments.records import train_command

    report = {"run": str(run),
              "trained_by": train_command(config.settings, config.environment.ctx), **shown}
    write_text(numbers, json.dumps(report, indent=1) + "\n")
    print(f"picture: {picture}, numbers: {numbers}")
    return 0


def check_options(args: argparse.Namespace) -> None:
    """Raise `InputError` if the options do not go together."""
    if args.invert and not args.images:
        raise InputError("--invert is for images of your own; name them with --images.")
    idle = [f"--{name}" for name in ("first", "skip", "limit") if getattr(args, name) is not None]
    if args.images and idle:
        raise InputError("--images takes the place of the set's images; leave out "
                         f"{' and '.join(idle)}.")
    if max(args.first or 0, len(args.images or ())) > ROWS:
        raise InputError(f"the picture shows {ROWS} images at most; choose fewer.")


def outputs(run: Path, out: Optional[str]) -> Tuple[Path, Path]:
    """Paths of the picture and of the numbers; the user's own files are not overwritten."""
    if out is None:
        return run / "confidence.png", run / "confidence.json"
    picture = new_picture(out)
    numbers = picture.with_suffix(".json")
    if numbers.exists():
        raise InputError(f"{numbers}, where the numbers would go, is there already; choose another "
                         "name for --out.")
    return picture, numbers


def show(net: "TrainedNet", args: argparse.Namespace, picture: Path) -> Dict[str, Any]:
    """Compute, print and draw; return what goes into the report."""
    from nin_gluon import plots
    from nin_gluon.analysis import class_maps
    from nin_gluon.analysis.own_images import read_image
    from nin_gluon.analysis.trained_net import evaluation_images

    settings, labels = net.settings, None
    if args.images:
        called = list(args.images)
        images = np.stack([read_image(path, net.shape, args.invert, net.title) for path in called])
    else:
        everything = evaluation_images(net.config)
        images, labels, called = set_images(settings, *everything, args.first or 8, args.skip or 0)
    found = class_maps.maps_of(net, images)
    report = class_maps.report(net, found, called, labels)
    print(geometry(report))
    for image in report["images"]:
        print(sentence(image))
    if not args.images:
        report["localization"], report["verdict"] = localization(
            net, *everything, report, args.limit, not args.no_progress)
        if report["localization"]:
            print("\n" + table(report["localization"], kind(settings)))
        print("\n" + report["verdict"])
    plots.save(plots.draw_class_maps(images, found.maps, found.scores, labels, net.classes,
                                     net.field, found.size,
                                     f"{net.title}: {settings.model}, {net.source}"), picture)
    return report


def set_images(settings: Settings, images: np.ndarray, labels: np.ndarray, first: int, skip: int,
               ) -> Tuple[np.ndarray, np.ndarray, List[str]]:
    """The images and labels of the set that are shown, and what they are called."""
    shown = slice(skip, skip + first)
    if not len(labels[shown]):
        raise InputError(f"--skip {skip} leaves nothing of the run's {len(labels)} "
                         f"{kind(settings)}s.")
    return images[shown], labels[shown], [f"{kind(settings)} {skip + i}"
                                          for i in range(len(labels[shown]))]


def localization(net: "TrainedNet", images: np.ndarray, labels: np.ndarray, report: Dict[str, Any],
                 limit: Optional[int], progress: bool) -> Tuple[Optional[Dict[str, Any]], str]:
    """How the maps lie on the objects of the test set, and a verdict; None if nothing can tell."""
    from tqdm import tqdm

    from nin_gluon.analysis.localization import BLACK_BACKGROUND, localize

    settings = net.settings
    if settings.dataset not in BLACK_BACKGROUND:
        return None, (f"Whether the maps respond where the object is cannot be told for "
                      f"{settings.dataset}: nothing says which pixels are the object.")
    if report["map_size"] == [1, 1]:
        return None, (f"Images of {by(report['image_size'])} leave maps of 1x1, which cannot tell "
                      "where anything is; train with a larger --resize.")
    images, labels = images[:limit], labels[:limit]
    with tqdm(total=len(labels), desc=f"{kind(settings)}s", unit=" images", leave=False,
              dynamic_ncols=True, disable=None if progress else True) as bar:
        result = localize(net, images, labels, bar.update)
    if result is None:
        return None, ("Whether the maps respond where the object is cannot be told for this net: "
                      "its maps have values below zero, so nothing is a share of a map.")
    return result, judge(result)


# ------------------------------------------------------------------ text


def kind(settings: Settings) -> str:
    """What the images are that stand for the unseen ones: a validation run's are training images.
    """
    return "held-out image" if settings.validation else "test image"


def by(size: Sequence[int]) -> str:
    """'131x131'."""
    return "x".join(map(str, size))


def geometry(report: Dict[str, Any]) -> str:
    """How many maps there are, and what a value of theirs stands for."""
    return (f"{len(report['classes'])} maps of {by(report['map_size'])}; a value stands for "
            f"{by(report['pixels_a_value'])} of {by(report['image_size'])} pixels and sees "
            f"{by(report['pixels_seen'])}")


def sentence(image: Dict[str, Any]) -> str:
    """What the net takes an image for, and whether it is right."""
    label, predicted = image["label"], image["predicted"]
    score = f"{predicted} (score {image['scores'][predicted]:.2f})"
    if label is None:
        return f"{image['image']}: {score}"
    return f"{image['image']}: {score}, " + ("right" if label == predicted else f"but is {label}")


def table(result: Dict[str, Any], kind: str) -> str:
    """The numbers of `Localization.result` as text."""

    def percent(value: Optional[float]) -> str:
        return "" if value is None else f"{100 * value:.1f} %"

    return "\n".join(columns([
        (f"over {result['images'] - result['zero_maps']:,} {kind}s", "of the map's sum",
         "of its largest value"),
        ("on the object, right class's map", percent(result["right"]), percent(result["pointing"])),
        ("the same map on another image's object", percent(result["other_images"]),
         percent(result["pointing_other_images"])),
        ("on the object of another image of its class", percent(result["same_class"]),
         percent(result["pointing_same_class"])),
        ("a flat map (chance)", percent(result["flat"]), percent(result["pointing_flat"])),
        ("predicted class's map", percent(result["predicted"]), ""),
        ("wrong classes' maps", percent(result["wrong"]), ""),
    ]))


def judge(result: Dict[str, Any]) -> str:
    """What the numbers of `Localization.result` come to, in plain words."""
    left_out = (f" {result['zero_maps']:,} of {result['images']:,} images are left out: the map of "
                "their right class is zero everywhere." if result["zero_maps"] else "")
    gain, error = result["gain"], result["gain_error"]
    if gain is None:
        return "Too few images have a map that is not zero to say anything." + left_out
    detail = (f"{100 * result['right']:.1f} % of the right class's map lie on the object; chance "
              f"would be {100 * result['flat']:.1f} %, and on the objects of other images the same "
              f"maps have {100 * result['other_images']:.1f} %. So looking at the image gains "
              f"{100 * gain:.1f} ({100 * error:.1f} standard error) points of a hundred, in "
              f"{100 * result['better']:.0f} % of the images.")
    if gain <= 2 * error:
        verdict = "The claim does not hold for this run: the right class's map does no better on " \
                  "its own image than on others."
    elif gain < 0.05:
        verdict = "The claim hardly holds for this run: the right class's map follows the object " \
                  "measurably, but little."
    else:
        verdict = "The claim holds for this run: the right class's map responds where the object " \
                  "is."
    over, over_error = result["right_over_wrong"], result["right_over_wrong_error"]
    if over is None:
        other = ""
    elif over > 2 * over_error:
        other = (f" The maps of wrong classes lie {100 * over:.1f} points less on the object.")
    else:
        other = " The maps of wrong classes lie on the object at least as much."
    return f"{verdict} {detail}{other}{left_out}"


if __name__ == "__main__":
    sys.exit(main())
