"""``python -m nin_gluon.predict``: what a trained net takes pictures of the user's own for."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, TextIO

from nin_gluon.cli import ArgumentParser, add_net_options, command, load_net, new_picture, number
from nin_gluon.errors import InputError
from nin_gluon.settings import positive

if TYPE_CHECKING:
    from nin_gluon.analysis.predictions import Prediction, Unread
    from nin_gluon.analysis.trained_net import TrainedNet

DESCRIPTION = """\
Classify your own pictures: print the most probable classes, and how probable they are.
The pictures may be PNG, JPEG, WebP, GIF and others, in colour or grey, of any size.

  python -m nin_gluon.predict --pretrained shoe.jpg bag.png    the trained net of the package
  python -m nin_gluon.predict --run runs/... shoe.jpg          the net of a run
  python -m nin_gluon.predict --pretrained photographs/        every picture in a folder
  python -m nin_gluon.predict --pretrained - < shoe.jpg        a picture from standard input
  python -m nin_gluon.predict --pretrained shoe.jpg --picture seen.png    where it looks, too
  python -m nin_gluon.predict --pretrained photographs/ --json > result.json    for programs
"""

EPILOG = """\
A picture is turned upright, laid on white where it is transparent (on black, if what can be seen is
light), made grey if the net's data set is, and fitted into that set's size. Fashion-MNIST's
garments are light on black, so a picture whose border is lighter than its mean is inverted; the
table says so, and --invert yes or no decides otherwise. The net knows the set's classes only:
whatever it is shown, it takes for one of them. It does best with a single garment that fills the
picture.

A picture that cannot be read is named, and the others go on. Exit status: 0 done, 2 wrong request,
or some pictures could not be read.
"""

ROWS = 50  # of the picture

INVERT = {"auto": None, "yes": True, "no": False}


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.predict", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE|FOLDER|-",
        help="pictures; a folder stands for the pictures in it and in its folders; - for one from "
             "standard input")
    add("--run", metavar="RUN", help="use the net in this run folder of the train command")
    add("--pretrained", action="store_true", help="use the trained net of the package")
    add("--top", type=number(int, positive), metavar="K", default=3,
        help="show the K most probable classes (default: %(default)s)")
    add("--invert", choices=INVERT, default="auto",
        help="swap light and dark: in pictures that look dark on light (auto, the default), in all "
             "or in none")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--picture", metavar="FILE",
        help=f"draw the pictures, the predicted class's map over them and the probabilities (png, "
             f"pdf or svg; {ROWS} pictures at most)")
    add_net_options(parser)
    add("--no-progress", action="store_true", help="no progress bar")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    if bool(args.run) == args.pretrained:
        raise InputError("name a run folder with --run, or give --pretrained: one of the two.")
    picture = args.picture and new_picture(args.picture, "--picture")

    from nin_gluon.analysis.own_images import files_of

    paths = files_of(args.images)
    if paths.count("-") > 1:
        raise InputError("- stands for the one picture on standard input; give it once.")
    if "-" in paths and sys.stdin is None:
        raise InputError("- stands for standard input, which is closed; name a file.")
    if picture and len(paths) > ROWS:
        raise InputError(f"--picture shows {ROWS} pictures at most, and these are {len(paths):,}; "
                         "name fewer.")
    net = load_net(args.run, args)
    output = Json(net, args.top) if args.json else Table(net, paths, args.top)
    shown, failed = go_through(net, paths, args, output, bool(picture))
    output.end()
    if picture and shown:
        draw(net, shown, args.top, picture)
        print(f"picture: {picture}", file=sys.stderr)
    if failed and len(paths) > 1:
        print(f"{failed:,} of {len(paths):,} pictures could not be read", file=sys.stderr)
    return 2 if failed else 0


def go_through(net: "TrainedNet", paths: Sequence[str], args: argparse.Namespace, output: Any,
               keep: bool) -> Any:
    """Predict and print; return the predictions to draw, if any, and how many pictures failed."""
    from tqdm import tqdm

    from nin_gluon.analysis.predictions import Unread, predict

    shown: List[Prediction] = []
    failed = 0
    with tqdm(total=len(paths), unit=" pictures", leave=False, dynamic_ncols=True,
              disable=None if len(paths) > 1 and not args.no_progress else True) as bar:

        def write(text: str, file: TextIO) -> None:
            with bar.external_write_mode(file):
                print(text, file=file)

        stdin = getattr(sys.stdin, "buffer", None)  # sys.stdin is None where it is closed
        for prediction in predict(net, paths, stdin, INVERT[args.invert]):
            if isinstance(prediction, Unread):
                write(prediction.error, sys.stderr)
                output.add_unread(prediction)
                failed += 1
            else:
                output.add(prediction, write)
                shown += [prediction] if keep else []
            bar.update()
    return shown, failed


def draw(net: "TrainedNet", shown: "Sequence[Prediction]", top: int, picture: Any) -> None:
    """Draw the predictions into a file."""
    from nin_gluon import plots

    figure = plots.draw_own_pictures(
        [plots.OwnPicture(printable(each.image), each.thumbnail, each.own.pixels, each.maps,
                          each.own.inverted, each.top(min(top, 10))) for each in shown],
        net.classes, net.field, net.image_size, f"{net.name} ({net.source})")
    plots.save(figure, picture)


# ------------------------------------------------------------------ what is printed


class Table:
    """Prints a line for each picture as it comes."""

    def __init__(self, net: "TrainedNet", paths: Sequence[str], top: int) -> None:
        self.classes, self.top, self.begun = net.classes, top, False
        self.name_width = max(map(len, map(printable, paths)), default=0)
        self.class_width = max(map(len, net.classes))

    def add(self, prediction: "Prediction", write: Any) -> None:
        best = prediction.top(self.top)
        if not self.begun:
            self.begun = True
            write(self.line("image", [ordinal(i + 1) for i in range(len(best))]), sys.stdout)
        cells = [f"{self.classes[k]:{self.class_width}} {chance:.3f}" for k, chance in best]
        note = "dark on light: inverted" if prediction.own.inverted else ""
        write(self.line(printable(prediction.image), [*cells, note]), sys.stdout)

    def line(self, name: str, cells: Sequence[str]) -> str:
        width = self.class_width + 6
        return "  ".join([f"{name:{max(self.name_width, 5)}}",
                          *(f"{cell:{width}}" for cell in cells)]).rstrip()

    def add_unread(self, picture: "Unread") -> None:
        """Nothing: stderr names it."""

    def end(self) -> None:
        """Nothing: every line is printed."""


class Json:
    """Prints one JSON object at the end."""

    def __init__(self, net: "TrainedNet", top: int) -> None:
        from nin_gluon.runtime import describe_machine

        self.classes, self.top = net.classes, top
        self.content: Dict[str, Any] = {
            "net": net.name, "parameters": net.source, "dataset": net.settings.dataset,
            "dtype": net.settings.dtype, "engine": net.settings.engine,
            "machine": describe_machine(net.settings.engine), "classes": list(net.classes),
            "images": []}

    def add(self, prediction: "Prediction", write: Any) -> None:
        self.content["images"].append({
            "image": prediction.image, "inverted": prediction.own.inverted,
            "predictions": [{"class": self.classes[k], "probability": chance}
                            for k, chance in prediction.top(self.top)]})

    def add_unread(self, picture: "Unread") -> None:
        self.content["images"].append({"image": picture.image, "error": picture.error})

    def end(self) -> None:
        print(json.dumps(self.content, indent=1))


def printable(name: str) -> str:
    """A file's name on one line; one that no terminal can show is escaped."""
    return name if name.isprintable() else ascii(name)


def ordinal(number: int) -> str:
    """'1st', '2nd', '3rd', '4th'."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


if __name__ == "__main__":
    sys.exit(main())
