"""``python -m nin_gluon.confidence``: the classes' maps over the images, and whether they fit."""

import json
import sys
from pathlib import Path

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError

DESCRIPTION = """\
Show the maps of the ten classes, which a trained net's last block makes, over the images: where
does the net find what? And check by numbers, over the test set, the chapter's idea that the map of
the right class responds where the object is.

  python -m nin_gluon.confidence runs/...                    the first test images, and the numbers
  python -m nin_gluon.confidence --first 20 --skip 100 runs/...
  python -m nin_gluon.confidence runs/... --images shoe.jpg bag.png --invert    images of your own
"""

EPILOG = """\
Leaves confidence.png and confidence.json in the run folder, or where --out says. Fashion-MNIST's
garments are light on black: photographs on a light ground need --invert.
"""

# Sets whose background is exactly 0, so that any other pixel belongs to the object.
BLACK_BACKGROUND = ("fashion-mnist", "sample")

# (height, width, channels) of a set's images.
SHAPES = {"fashion-mnist": (28, 28, 1), "cifar10": (32, 32, 3), "sample": (28, 28, 1)}

ROWS = 100  # of the picture; some hundreds would be too large to draw


def build_parser():
    from nin_gluon.train import not_negative, positive

    parser = ArgumentParser(prog="python -m nin_gluon.confidence", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder of the train command")
    add("--images", nargs="+", metavar="FILE",
        help="show these images in place of the set's, and leave the test set alone")
    add("--invert", action="store_true", help="swap light and dark in --images")
    add("--first", type=positive(int), metavar="N",
        help=f"show so many test images, {ROWS} at most (default: 8)")
    add("--skip", type=not_negative(int), metavar="N",
        help="leave out the first N test images when showing (default: 0)")
    add("--limit", type=positive(int), metavar="N",
        help="take the numbers from the first N test images only")
    add("--out", metavar="PICTURE", help="the picture (png, pdf or svg); the numbers go beside it")
    add("--ctx", metavar="DEVICE", default="auto", help="auto, cpu, gpu or gpu(1) (default: auto)")
    add("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the run's")
    add("--data-dir", metavar="DIR", help="folder with the data set's files (default: the run's)")
    add("--no-progress", action="store_true", help="no progress bar")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    from nin_gluon.train import read_config

    run = Path(args.run)
    config = read_config(run)
    if args.invert and not args.images:
        raise InputError("--invert is for images of your own; name them with --images.")
    idle = [f"--{name}" for name in ("first", "skip", "limit") if getattr(args, name) is not None]
    if args.images and idle:
        raise InputError("--images takes the place of the set's images; leave out "
                         f"{' and '.join(idle)}.")
    if max(args.first or 0, len(args.images or ())) > ROWS:
        raise InputError(f"the picture shows {ROWS} images at most; choose fewer.")
    picture, numbers = outputs(run, args.out)
    config.update({name: getattr(args, name) for name in ("dtype", "data_dir")
                   if getattr(args, name)})

    from nin_gluon import runtime

    contexts = runtime.parse_ctx(args.ctx)[:1]
    runtime.use_dtype(config["dtype"], contexts)
    return show(run, config, contexts, args, picture, numbers)


def outputs(run, out):
    """Paths of the picture and of the numbers; the user's own files are not overwritten."""
    if out is None:
        return run / "confidence.png", run / "confidence.json"
    from nin_gluon.resources import new_picture

    picture = new_picture(out)
    numbers = picture.with_suffix(".json")
    if numbers.exists():
        raise InputError(f"{numbers}, where the numbers would go, is there already; choose another "
                         "name for --out.")
    return picture, numbers


def show(run, config, contexts, args, picture, numbers):
    """Compute, draw, print and write."""
    from nin_gluon import plots
    from nin_gluon.atomic_files import write_text
    from nin_gluon.data.sets import DATASETS
    from nin_gluon.experiments import records as evidence
    from nin_gluon.runtime import describe_machine
    from nin_gluon.train import load_data

    if args.images:
        loader, images = own_images(config, contexts[0], args)
        labels, wheres = None, list(map(str, args.images))
    else:
        loader = load_data(config, contexts)[1]
        images, labels, wheres = set_images(config, loader, args)
    title, names, _ = DATASETS[config["dataset"]]
    maps_and_scores, field, source = load_net(run, config, contexts[0])
    batch = as_batch(loader, images)
    maps, scores = (array.asnumpy() for array in maps_and_scores(batch))
    if scores.shape[1] != len(names):
        raise InputError(f"the net of {run} tells {scores.shape[1]} classes and {title} has "
                         f"{len(names)}; use a run whose net has as many as its set.")
    size = batch.shape[2:]
    report = {"run": str(run), "trained_by": evidence.train_command(
                  evidence.settings_of(config), config["seed"], config["ctx"]),
              "parameters": source, "machine": describe_machine(), "dataset": config["dataset"],
              "image_size": list(size), "map_size": list(maps.shape[2:]),
              "pixels_a_value": [step for _, step, _ in field],
              "pixels_seen": [seen for _, _, seen in field], "classes": list(names),
              "images": [described(where, names, i, labels, scores)
                         for i, where in enumerate(wheres)]}
    print(f"{len(names)} maps of {'x'.join(map(str, maps.shape[2:]))}; a value stands for "
          f"{field[0][1]}x{field[1][1]} of {size[0]}x{size[1]} pixels and sees "
          f"{field[0][2]}x{field[1][2]}")
    for image in report["images"]:
        print(sentence(image))
    if not args.images:
        report["localization"], report["verdict"] = localization(config, loader, maps_and_scores,
                                                                 field, args)
        if report["localization"]:
            print("\n" + table(report["localization"], kind(config)))
        print("\n" + report["verdict"])
    plots.save(plots.draw_class_maps(images, maps, scores, labels, names, field, size,
                                     f"{title}: {config['model']}, {source}"), picture)
    write_text(numbers, json.dumps(report, indent=1) + "\n")
    print(f"picture: {picture}, numbers: {numbers}")


# ------------------------------------------------------------------ the net


def load_net(run, config, ctx):
    """The run's net, ready to be asked.

    Returns
    -------
    maps_and_scores : callable
        X (batch, channels, height, width) -> maps (batch, classes, height', width') and scores
        (batch, classes), float32.
    field : list of (float, float, int)
        As from `nin_gluon.models.geometry.receptive_field`: where the maps' squares lie.
    source : str
        Which parameters these are.
    """
    from nin_gluon import models
    from nin_gluon.models.geometry import receptive_field

    net = models.get_model(config["model"])
    source = load_parameters(run, config, net, ctx)
    net.hybridize(static_alloc=True, static_shape=True)
    features, head = models.maps_and_head(net)
    field = receptive_field(features)
    features.hybridize(static_alloc=True, static_shape=True)
    features = models.inference_form(features)

    def maps_and_scores(X):
        maps = features(X.as_in_context(ctx))
        # NumPy would take the bits of a bfloat16 number for an integer.
        return maps.astype("float32"), head(maps).astype("float32")

    return maps_and_scores, field, source


def load_parameters(run, config, net, ctx):
    """Give the net the run's newest parameters; say in a few words which they are.

    Raises
    ------
    InputError
        The run has saved none, or they are damaged or those of another net.
    """
    import mxnet as mx

    from nin_gluon.training import checkpoint
    from nin_gluon.training.history import read_history

    saved = checkpoint.complete(run)
    exported = sorted(run.glob("model-*.params"))
    if not saved and not exported:
        raise InputError(f"{run} holds no parameters, neither a checkpoint nor model-*.params.")
    path = saved[-1] / "net.params" if saved else exported[-1]
    try:
        if saved:
            net.load_parameters(str(path), ctx=ctx)
        else:  # in the net's order, under names that depend on what was built before it
            values = list(mx.nd.load(str(path)).values())
            parameters = list(net.collect_params().values())
            if len(values) != len(parameters):
                raise ValueError(f"{len(values)} arrays instead of {len(parameters)}")
            for parameter, value in zip(parameters, values):
                parameter.shape = value.shape
                parameter.initialize(ctx=ctx)
                parameter.set_data(value)
    except (OSError, ValueError, KeyError, AssertionError, mx.base.MXNetError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(f"{path} cannot be read as parameters of {config['model']} ({reason})."
                         ) from None
    history = run / "history.jsonl"
    done = len(read_history(history)) if history.exists() else 0
    if (run / "diverged.txt").exists():
        print(f"the run has diverged; these are its last saved parameters, {path}", file=sys.stderr)
    elif done < config["epochs"]:
        print(f"the run is unfinished ({done} of {config['epochs']} epochs); these are its last "
              f"saved parameters, {path}", file=sys.stderr)
    return saved[-1].name if saved else path.name


# ------------------------------------------------------------------ images


def own_images(config, ctx, args):
    """A loader that makes batches as the run's does, and the user's images for it.

    Of the data set only the training images are read, and only if the preprocessing goes by them.
    """
    import numpy as np

    from nin_gluon import data
    from nin_gluon.data.loader import BatchLoader
    from nin_gluon.data.preprocess import preprocessor, standardized
    from nin_gluon.data.sets import DATASETS

    name, preprocess, train = config["dataset"], config["preprocess"], None
    if name not in SHAPES:
        raise InputError(f"--images is for nets of {', '.join(SHAPES)}, and this one's set is "
                         f"{name}.")
    images = np.stack([read_image(path, SHAPES[name], args.invert, DATASETS[name][0])
                       for path in args.images])
    if preprocess in ("standardize", "zca"):
        train = data.load_image_set(name, "train", config["data_dir"])[0]
        train = train[: len(train) - (config["validation"] or 0)][: config["limit"]]
    levels = standardized(train) if preprocess == "standardize" else None
    return BatchLoader(images, np.zeros(len(images)), len(images), config["resize"], ctx=ctx,
                       levels=levels, preprocess=preprocessor(preprocess, train)), images


def set_images(config, loader, args):
    """Images and labels of the set that are to be shown, and what they are called."""
    skip = args.skip or 0
    shown = slice(skip, skip + (args.first or 8))
    images, labels = loader.images[shown].asnumpy(), loader.labels[shown].asnumpy()
    if not len(labels):
        raise InputError(f"--skip {skip} leaves nothing of the run's {len(loader.labels)} "
                         f"{kind(config)}s.")
    return images, labels, [f"{kind(config)} {skip + i}" for i in range(len(labels))]


def read_image(path, shape, invert, title):
    """A user's image as one of the set: (height, width, channels) uint8.

    It is turned upright, laid on white where it is transparent, made grey where the set is, and
    fitted into the set's size, with the border's colour beside it where it is not square.
    """
    import numpy as np
    from PIL import Image, ImageOps

    height, width, channels = shape
    try:
        with Image.open(path) as opened:
            image = eight_bits(ImageOps.exif_transpose(opened)).convert("RGBA")
    except FileNotFoundError:
        raise InputError(f"there is no image {path}.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an image ({error}).") from None
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if invert:
        image = ImageOps.invert(image)
    pixels = np.asarray(image).reshape(image.height, image.width, channels)
    border = np.concatenate([pixels[[0, -1]].reshape(-1, channels),
                             pixels[:, [0, -1]].reshape(-1, channels)])
    ground = tuple(np.median(border, axis=0).astype(int).tolist())
    if channels == 1 and ground[0] > pixels.mean():
        hint = "leave out --invert" if invert else "try --invert"
        print(f"{path} looks dark on light, and {title} is light on black: {hint}",
              file=sys.stderr)
    image = ImageOps.pad(image, (width, height), Image.BILINEAR,
                         ground if channels > 1 else ground[0])
    return np.asarray(image).reshape(shape)


def eight_bits(image):
    """The image, with grey of 16 bits made one of 8; Pillow would cut it off at 255."""
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its grey is in floating point; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its grey has more than 16 bits; save it with 8 or 16")
    return Image.fromarray((values // 256).astype(np.uint8))


def as_batch(loader, images):
    """Images (n, height, width, channels) uint8 as one batch X, made as the loader makes its."""
    import copy

    from mxnet import nd

    loader = copy.copy(loader)
    home = loader.images.context
    loader.images = nd.array(images, ctx=home, dtype="uint8")
    loader.labels = nd.zeros(len(images), ctx=home, dtype="int32")
    loader.batch_size, loader.shuffle = len(images), False
    X, _ = next(iter(loader))
    return X


def kind(config):
    """What the images are that stand for the unseen ones: a validation run's are training images.
    """
    return "held-out image" if config["validation"] else "test image"


def described(where, names, i, labels, scores):
    """What the report says of an image."""
    predicted = int(scores[i].argmax())
    label = None if labels is None else names[int(labels[i])]
    return {"image": where, "label": label, "predicted": names[predicted],
            "scores": {name: float(score) for name, score in zip(names, scores[i])}}


def sentence(image):
    """The same as a line."""
    label, predicted = image["label"], image["predicted"]
    score = f"{predicted} (score {image['scores'][predicted]:.2f})"
    if label is None:
        return f"{image['image']}: {score}"
    return f"{image['image']}: {score}, " + ("right" if label == predicted else f"but is {label}")


# ------------------------------------------------------------------ the numbers


def localization(config, test_iter, maps_and_scores, field, args):
    """Go over the test set; return what `Localization.result` says (or None) and a verdict."""
    from tqdm import tqdm

    from nin_gluon.analysis.localization import Localization, squares

    if config["dataset"] not in BLACK_BACKGROUND:
        return None, (f"Whether the maps respond where the object is cannot be told for "
                      f"{config['dataset']}: nothing says which pixels are the object.")
    total = min(args.limit or len(test_iter.labels), len(test_iter.labels))
    found, done = None, 0
    with tqdm(total=total, desc=f"{kind(config)}s", unit=" images", leave=False, dynamic_ncols=True,
              disable=True if args.no_progress else None) as bar:
        for X, y in test_iter:
            maps, scores = maps_and_scores(X)
            if maps.shape[2] * maps.shape[3] == 1:
                return None, (f"Images of {X.shape[2]}x{X.shape[3]} leave maps of 1x1, which "
                              "cannot tell where anything is; train with a larger --resize.")
            kept = slice(0, total - done)
            masks = test_iter.images[done : done + len(y)].asnumpy().any(axis=3)
            if found is None:
                found = Localization(*(squares(centre, step, count, size, pixels)
                                       for (centre, step, _), count, size, pixels in zip(
                                           field, maps.shape[2:], X.shape[2:], masks.shape[1:])))
            found.add(maps.asnumpy()[kept], y.asnumpy()[kept],
                      scores.argmax(axis=1).asnumpy().astype(int)[kept], masks[kept])
            done += len(y[kept])
            bar.update(len(y[kept]))
            if done >= total:
                break
    result = found.result()
    return result, judge(result)


def table(result, kind):
    """The numbers as text."""
    from nin_gluon.shapes import columns

    def percent(value):
        return "" if value is None else f"{100 * value:.1f} %"

    lines = [
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
    ]
    return "\n".join(columns(lines, 1))


def judge(result):
    """What the numbers come to, in plain words."""
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
