"""``python -m benchmarks.package_weights RUN``: put the net of a finished run into the package."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

import nin_gluon
from nin_gluon import data
from nin_gluon.analysis.evaluation import evaluation_of
from nin_gluon.analysis.trained_net import evaluation_images, load_weights
from nin_gluon.array_files import read_safetensors
from nin_gluon.atomic_files import write_text
from nin_gluon.checked_files import read_text, reason
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.data.sets import DATASETS, SHAPES, own_data
from nin_gluon.data.whitening import standardization
from nin_gluon.errors import InputError
from nin_gluon.experiments.records import train_command
from nin_gluon.pretrained import Preprocessing, Weights, read_weights, write_weights
from nin_gluon.pretrained.weights import MOST_BYTES
from nin_gluon.training.history import history_of
from nin_gluon.training.run_folder import read_config
from nin_gluon.training.saved_parameters import newest_parameters

DESCRIPTION = """\
Make the file of a trained net from a finished run, and write the figures into its model card. The
net is evaluated in float32 on all test images, twice: with its parameters as they are, and rounded
to float16. The file has them in float16 if every prediction stays the same, else in float32.

  python -m benchmarks.package_weights runs/...    nin_gluon/pretrained/nin.safetensors, and
                                                   docs/reference/model-card.md
"""

FOLDER = Path(nin_gluon.__file__).parent / "pretrained"
CARD = Path(nin_gluon.__file__).parent.parent / "docs" / "reference" / "model-card.md"


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.package_weights", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="run folder of the train command")
    parser.add_argument("--out", metavar="DIR", default=str(FOLDER),
                        help="folder for NAME.safetensors (default: the package's)")
    parser.add_argument("--card", metavar="FILE", default=str(CARD),
                        help="model card to write the figures into (default: %(default)s)")
    parser.add_argument("--engine", choices=("gluon", "torch"), help="what computes")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    card = read_text(args.card)
    check_card(card)
    weights = weights_of_run(Path(args.run), args.data_dir)
    path = Path(args.out, f"{weights.name}.safetensors")
    if path.exists():
        read_weights(path)  # only a file like this one is replaced
    weights, result = with_storage(weights, args.engine, args.data_dir)
    write_weights(path, weights)
    read_weights(path)
    write_text(args.card, filled(card, weights, result))
    print(f"{path}: {path.stat().st_size:,} bytes, {weights.storage}, accuracy "
          f"{result['accuracy']:.4f} and loss {result['loss']:.4f} on {result['images']:,} images")
    print(f"figures: {args.card}")
    return 0


def weights_of_run(run, data_dir=None):
    """The trained net in a run folder, its evaluation still to be done."""
    config = read_config(run)
    settings, data_dir = config.settings, data_dir or config.environment.data_dir
    name = settings.model.split(",")[0].strip()
    check_run(run, settings, data_dir)
    path, _ = newest_parameters(run)
    if path.name != "net.safetensors":
        raise InputError(f"{run} has no checkpoint of today's format.")
    try:
        parameters = read_safetensors(path, MOST_BYTES, lambda entries: None)
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}).") from None
    mean, deviation = 0.0, 255.0  # "none" divides by 255
    if settings.preprocess == "standardize":
        images, _ = data.load_image_set(settings.dataset, "train", data_dir)
        mean, deviation = standardization(images[: settings.limit])
    return Weights(
        name, tuple(DATASETS[settings.dataset].classes),
        Preprocessing(*SHAPES[settings.dataset], settings.resize, settings.interpolation, mean,
                      deviation),
        settings, train_command(settings), {}, dict(sorted(parameters.items())))


def check_run(run, settings, data_dir):
    """Raise `InputError` unless a run's net can go into the package."""
    if "," in settings.model:
        raise InputError(f"{run} trained --model {settings.model}; package a net as it is, without "
                         "options of its own.")
    done = len(history_of(run))
    if done < settings.epochs or (run / "diverged.txt").exists():
        raise InputError(f"{run} has not come to its end ({done} of {settings.epochs} epochs).")
    if settings.validation:
        raise InputError(f"{run} held out training images; package a run that used them all.")
    if settings.preprocess not in ("none", "standardize"):
        raise InputError(f"{run} preprocesses by {settings.preprocess}, which the file of a "
                         "trained net has no place for; package one with none or standardize.")
    if settings.dataset not in SHAPES or own_data(settings.dataset, data_dir):
        raise InputError(f"{run} was not trained on a published data set.")


def with_storage(weights, engine=None, data_dir=None):
    """The trained net with its storage and its evaluation, and the whole result of that."""
    rounded = replace(weights, storage="float16", parameters={
        name: array.astype(np.float16).astype(np.float32)
        for name, array in weights.parameters.items()})
    scores, labels = scores_of(weights, engine, data_dir)
    rounded_scores, _ = scores_of(rounded, engine, data_dir)
    if (scores.argmax(axis=1) == rounded_scores.argmax(axis=1)).all():
        weights, scores = rounded, rounded_scores
    result = evaluation_of(scores, labels, weights.classes)
    evaluation = {name: result[name] for name in ("accuracy", "loss", "images")}
    return replace(weights, evaluation={**evaluation, "dtype": "float32"}), result


def scores_of(weights, engine, data_dir):
    """The scores of all test images, and their labels."""
    net = load_weights(weights, "cpu", engine, data_dir=data_dir)
    images, labels = evaluation_images(net.config)
    scores = []
    with tqdm(total=len(images), unit=" images", leave=False, disable=None) as bar:
        for _, batch in net.respond(images):
            scores.append(batch)
            bar.update(len(batch))
    return np.concatenate(scores), labels


# ------------------------------------------------------------------ the model card


# Lines between which the figures go, in the front matter and in the text.
MARKS = (("# figures", "# end of figures"), ("<!-- figures -->", "<!-- end of figures -->"))


def check_card(card):
    """Raise `InputError` unless a model card has a place for the figures."""
    for begin, end in MARKS:
        between(card, begin, end, "")


def filled(card, weights, result):
    """A model card with the figures between its marks."""
    card = between(card, *MARKS[0], front_matter(weights, result))
    return between(card, *MARKS[1], figures(weights, result))


def between(text, begin, end, content):
    """The text with other content between two lines that mark the place."""
    pattern = re.compile(f"^{re.escape(begin)}\n.*?^{re.escape(end)}$", re.M | re.S)
    if len(pattern.findall(text)) != 1:
        raise InputError(f"the model card has no place between {begin!r} and {end!r}.")
    return pattern.sub(lambda match: f"{begin}\n{content.rstrip()}\n{end}", text)


def front_matter(weights, result):
    """The results, as the Hugging Face Hub reads them."""
    dataset = {"name": DATASETS[weights.settings.dataset].title, "type": weights.settings.dataset,
               "split": "test"}
    metrics = [{"type": "accuracy", "value": result["accuracy"]},
               {"type": "cross_entropy", "name": "loss", "value": round(result["loss"], 6)}]
    return yaml.safe_dump({"model-index": [{"name": weights.name, "results": [{
        "task": {"type": "image-classification"}, "dataset": dataset, "metrics": metrics}]}]},
        sort_keys=False)


def figures(weights, result):
    """The results and where they come from, in Markdown."""
    settings, made_of = weights.settings, weights.preprocessing
    number = sum(array.size for array in weights.parameters.values())
    rows = [f"| {row['name']} | {row['images']:,} | {row['precision'] or 0:.3f} | "
            f"{row['recall'] or 0:.3f} |" for row in result["classes"]]
    return "\n".join([
        f"Accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f} nats, expected calibration "
        f"error {result['calibration']['error']:.4f} on the {result['images']:,} test images, in "
        "float32.", "",
        "| class | test images | precision | recall |", "| --- | --- | --- | --- |", *rows, "",
        f"- Trained by `{weights.command}`.",
        f"- Recipe: epochs {settings.epochs}, optimizer {settings.optimizer}, learning rate "
        f"{settings.lr:g} ({settings.schedule} schedule), batches of {settings.batch_size}, "
        f"arithmetic {settings.dtype}.",
        f"- {number:,} parameters, stored in {weights.storage}.",
        f"- Input: {made_of.height}x{made_of.width} pixels, enlarged to "
        f"{made_of.resize}x{made_of.resize} ({made_of.interpolation}); a byte b becomes "
        f"(b - {made_of.mean:.4f}) / {made_of.deviation:.4f}."])


if __name__ == "__main__":
    sys.exit(main())
