"""``python -m nin_gluon.evaluate``: how a trained net does on the test images."""

import json
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from nin_gluon.cli import ArgumentParser, add_net_options, command, load_net, new_picture, number
from nin_gluon.errors import InputError
from nin_gluon.settings import positive
from nin_gluon.text_tables import columns

if TYPE_CHECKING:
    from nin_gluon.analysis.trained_net import TrainedNet

DESCRIPTION = """\
Measure a trained net on the test images: accuracy and loss; precision and recall of each class;
which classes it takes for one another; and whether it is right as often as its probabilities say.

  python -m nin_gluon.evaluate runs/...                       the net of a run
  python -m nin_gluon.evaluate --pretrained                   the trained net of the package
  python -m nin_gluon.evaluate runs/... --picture result.png  a picture too
  python -m nin_gluon.evaluate runs/... --json > result.json  for programs
  python -m nin_gluon.evaluate runs/... --limit 1000          the first 1,000 test images
"""

EPILOG = """\
A run that held out training images (--validation) is measured on those. Precision of a class: the
fraction of the images predicted as that class that belong to it. Recall: the fraction of its images
that were predicted as that class. Calibration: the images are put into 15 bins by the probability
of the predicted class. The expected calibration error is the mean absolute difference between a
bin's accuracy and its mean probability, weighted by its images.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.evaluate", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN", help="run folder of the train command")
    add("--pretrained", action="store_true", help="the trained net of the package")
    add("--limit", type=number(int, positive), metavar="N",
        help="use the first N images only (default: as many as the run used)")
    add("--json", action="store_true", help="print JSON instead of tables")
    add("--picture", metavar="FILE", help="draw the result too (png, pdf or svg)")
    add_net_options(parser)
    add("--no-progress", action="store_true", help="no progress bar")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    if bool(args.run) == args.pretrained:
        raise InputError("name a run folder, or give --pretrained: one of the two.")
    picture = args.picture and new_picture(args.picture, "--picture")
    net = load_net(args.run, args)
    result = measure(net, args.limit, not args.no_progress)
    print(json.dumps(result, indent=1) if args.json else format_result(result))
    if picture:
        from nin_gluon import plots

        plots.save(plots.draw_evaluation(result, headline(result)), picture)
        print(f"picture: {picture}", file=sys.stderr)
    return 0


def measure(net: "TrainedNet", limit: Optional[int], progress: bool) -> Dict[str, Any]:
    """The evaluation of a net, with what it was measured on."""
    import numpy as np
    from tqdm import tqdm

    from nin_gluon.analysis.evaluation import evaluation_of
    from nin_gluon.analysis.trained_net import evaluation_images
    from nin_gluon.runtime import describe_machine
    from nin_gluon.training.run_data import check_memory

    images, labels = evaluation_images(net.config, limit)
    check_memory(net.settings, net.shape[2], len(images), "evaluate on a larger machine")
    scores = []
    with tqdm(total=len(images), unit=" images", leave=False, dynamic_ncols=True,
              disable=None if progress else True) as bar:
        for _, batch in net.respond(images):
            scores.append(batch)
            bar.update(len(batch))
    held_out = bool(net.settings.validation)
    return {"net": net.name, "parameters": net.source, "dataset": net.settings.dataset,
            "kind": "held-out" if held_out else "test", "title": net.title,
            "dtype": net.settings.dtype, "engine": net.settings.engine,
            "machine": describe_machine(net.settings.engine),
            **evaluation_of(np.concatenate(scores), labels, net.classes)}


# ------------------------------------------------------------------ text


def headline(result: Dict[str, Any]) -> str:
    """What was measured, and its two main numbers."""
    return (f"{result['net']} ({result['parameters']}) on {result['images']:,} {result['kind']} "
            f"images of {result['title']}: accuracy {result['accuracy']:.4f}, "
            f"loss {result['loss']:.4f}")


def format_result(result: Dict[str, Any]) -> str:
    """The whole evaluation as text."""
    calibration = result["calibration"]
    return "\n".join([
        headline(result), "", *class_table(result["classes"]), "",
        "confusion: a row for each true class, a column for each predicted one",
        *confusion_table(result), "",
        f"expected calibration error {calibration['error']:.4f}",
        *calibration_table(calibration["bins"])])


def class_table(classes: List[Dict[str, Any]]) -> List[str]:
    return columns([("class", "images", "precision", "recall"),
                    *((row["name"], f"{row['images']:,}", fraction(row["precision"]),
                       fraction(row["recall"])) for row in classes)])


def confusion_table(result: Dict[str, Any]) -> List[str]:
    names = [row["name"] for row in result["classes"]]
    return columns([("", *names), *((name, *(str(count or ".") for count in counts))
                                    for name, counts in zip(names, result["confusion"]))])


def calibration_table(bins: List[Dict[str, Any]]) -> List[str]:
    """The bins that have images."""
    return columns([("probability", "images", "mean", "accuracy"),
                    *((f"{row['above']:.2f} to {row['up_to']:.2f}", f"{row['images']:,}",
                       fraction(row["confidence"]), fraction(row["accuracy"]))
                      for row in bins if row["images"])])


def fraction(value: Optional[float]) -> str:
    """Three digits, or a dash where there is nothing to divide by."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
