"""``python -m benchmarks.draws``: which of a seed's draws decides how a run ends?"""

import contextlib
import io
import json
import statistics
import sys

from tqdm import tqdm

from benchmarks.compare import check_new, machine
from nin_gluon.atomic_files import write_text
from nin_gluon.cli import ArgumentParser, command, number
from nin_gluon.data import load_data
from nin_gluon.settings import Range, positive

DESCRIPTION = """\
A seed draws three things: the initial weights, the order of the images, the dropout masks. Train
the textbook's recipe, at small scale, with each of the three drawn anew while the others stay those
of seed 0, and print how far apart the runs end. Takes about ten minutes on two cores.
"""

DRAWS = ("weights", "order", "masks")
SETTINGS = {"resize": 67, "limit": 6000, "batch_size": 64, "epochs": 8}


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.draws", description=DESCRIPTION)
    parser.add_argument("--seeds", type=number(int, Range(lambda n: n >= 2, "2 or above")),
                        default=3, metavar="N",
                        help="seeds of each draw, 0 to N-1 (default: %(default)s)")
    parser.add_argument("--epochs", type=number(int, positive),
                        default=SETTINGS["epochs"], metavar="N",
                        help="epochs of each run (default: %(default)s)")
    parser.add_argument("--limit", type=number(int, positive),
                        default=SETTINGS["limit"], metavar="N",
                        help="the first N training and test images (default: %(default)s)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with Fashion-MNIST's files")
    parser.add_argument("--out", metavar="FILE", default="draws.json",
                        help="new file for the figures (default: %(default)s)")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    check_new(args.out)
    settings = {**SETTINGS, "epochs": args.epochs, "limit": args.limit}
    data = load_data("fashion-mnist", settings["batch_size"], settings["resize"],
                     root=args.data_dir, limit=settings["limit"])
    plan = tqdm(draws_to_make(args.seeds), unit=" runs", leave=False, disable=None)
    runs = []
    for draws in plan:
        runs.append(train(draws, settings, *data))
        figures = {"settings": settings, "runs": runs, "machine": machine()}
        write_text(args.out, json.dumps(figures, indent=1) + "\n")
    print(table(runs))
    print(f"figures: {args.out}")
    return 0


def draws_to_make(seeds):
    """Seed 0 for all three, then each with seeds of its own: dicts of the three draws' seeds."""
    first = dict.fromkeys(DRAWS, 0)
    return [first] + [{**first, draw: seed} for draw in DRAWS for seed in range(1, seeds)]


def train(draws, settings, train_iter, test_iter):
    """A run of the textbook's recipe, as the train command makes it, but for where chance comes in.

    Returns
    -------
    dict
        ``draws``; ``history``, of each epoch loss, train acc and test acc; ``alive``, for how many
        classes the net has a score above zero for any test image.
    """
    import mxnet as mx
    import numpy as np
    from mxnet import gluon

    from nin_gluon import models
    from nin_gluon.settings import TEXTBOOK
    from nin_gluon.training.callbacks import StepSeeds
    from nin_gluon.training.gluon_engine import GluonEngine
    from nin_gluon.training.hooks import Hooks
    from nin_gluon.training.loop import Tally, fit

    batch_size, size, tally = settings["batch_size"], settings["resize"], Tally()
    mx.random.seed(draws["weights"])
    np.random.seed(draws["weights"])
    net = models.get_model(TEXTBOOK.model)
    net.initialize(models.initializer(TEXTBOOK.init, net))
    net.hybridize(static_alloc=True, static_shape=True)
    net(mx.nd.zeros((1, 1, size, size)))  # which creates the parameters
    trainer = gluon.Trainer(list(net.collect_params().values()), TEXTBOOK.optimizer,
                            {"learning_rate": TEXTBOOK.lr})
    np.random.seed(draws["order"])
    engine = GluonEngine(net, mx.cpu(), trainer, batch_size)
    masks = StepSeeds(engine, draws["masks"], tally)
    with contextlib.redirect_stdout(io.StringIO()):
        history = fit(engine, train_iter, test_iter, settings["epochs"],
                      Hooks(tally=tally, callbacks=[masks]))
    return {"draws": draws, "history": [[r.loss, r.train_acc, r.test_acc] for r in history],
            "alive": len(history[-1].living)}


def table(runs):
    """Markdown: a row a draw, with the range of what its runs, and seed 0's, came to at the end."""
    lines = ["| drawn anew | runs | loss | test acc | classes alive |",
             "| --- | --- | --- | --- | --- |"]
    for draw in DRAWS:
        of_it = [run for run in runs if all(run["draws"][d] == 0 for d in DRAWS if d != draw)]
        loss, _, test_acc = zip(*[run["history"][-1] for run in of_it])
        lines.append(f"| {draw} | {len(of_it)} | {span(loss, '.4f')} | {span(test_acc, '.3f')} | "
                     f"{span([run['alive'] for run in of_it], '.3g')} |")
    return "\n".join(lines)


def span(values, form):
    """'0.100 to 0.700 (median 0.600)'."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:{form}} to {high:{form}} (median {middle:{form}})"


if __name__ == "__main__":
    sys.exit(main())
