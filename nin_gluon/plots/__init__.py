"""Every picture. Functions return a matplotlib Figure; `save` writes one."""

import io
import textwrap
from math import prod
from statistics import median

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from nin_gluon.atomic_files import replacing

__all__ = ["draw_band", "draw_class_maps", "draw_comparisons", "draw_curves",
           "draw_predictions", "draw_resources", "png", "save", "show_fashion_mnist"]

LOSS, TRAIN, TEST = "#4c4c4c", "#1f77b4", "#d95f02"
PUBLISHED = "#b2182b"
RIGHT, WRONG = "#1b7837", "#b2182b"


def save(figure, path):
    """Write the figure as a file, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def png(figure, software):
    """The figure as the bytes of a PNG file, equal on any day; `software` is kept in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": software})
    return buffer.getvalue()


def draw_curves(history, title="", marks=()):
    """Loss and accuracies by epoch.

    Parameters
    ----------
    history : list of EpochRecord
    title : str
    marks : list of dict, optional
        Loss and training accuracy within the epochs, as thin lines: each has ``epochs`` (how many
        were done, with a fraction), ``loss`` and ``train_acc``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    within = [mark["epochs"] for mark in marks]
    left.plot(within, [mark["loss"] for mark in marks], color=LOSS, lw=0.7, alpha=0.7)
    right.plot(within, [mark["train_acc"] for mark in marks], color=TRAIN, lw=0.7, alpha=0.7)
    left.plot(epochs, [r.loss for r in history], "o-", color=LOSS, label="mean of the epoch")
    left.axhline(LN_10, color=LOSS, lw=0.8, ls=":")
    left.annotate("ln 10: guessing", (1, LN_10), (0, 3), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", fontsize=8, color=LOSS)
    left.set(xlabel="epoch", ylabel="training loss (nats)")
    left.set_ylim(0, max(2.5, 1.05 * max(r.loss for r in history)))
    right.plot(epochs, [r.train_acc for r in history], "o-", color=TRAIN, label="training")
    right.plot(epochs, [r.test_acc for r in history], "s--", color=TEST, label="test")
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1))
    right.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        axes.set_xlim(0 if marks else epochs[0] - 0.3, epochs[-1] + 0.03 * len(epochs) + 0.02)
        axes.set_xticks(([0] if marks else []) + epochs[:: max(1, len(epochs) // 10)])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    return figure


LN_10 = 2.302585  # the loss of a net that gives each of ten classes the same probability


def draw_band(runs, published, name, guess, title=""):
    """One quantity of several runs by epoch, as a band, with what was published over it.

    Parameters
    ----------
    runs : list of list of (int, float)
        The epochs and values of each run; they need not be equally long.
    published : list of (int, float)
        The published epochs and values; may be empty.
    name : str
        Of the quantity.
    guess : float
        Its value for a net that guesses.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.subplots()
    by_epoch = {}
    for run in runs:
        axes.plot(*zip(*run), color=TRAIN, lw=0.7, alpha=0.6)
        for epoch, value in run:
            by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    low, high = ([pick(by_epoch[epoch]) for epoch in epochs] for pick in (min, max))
    middle = [median(by_epoch[epoch]) for epoch in epochs]
    seeds = f"{len(runs)} seed" + "s" * (len(runs) != 1)
    axes.fill_between(epochs, low, high, color=TRAIN, alpha=0.18, lw=0, label=f"range of {seeds}")
    # A band of one epoch has no width; a bar shows it.
    axes.vlines(epochs, low, high, color=TRAIN, alpha=0.3, lw=2)
    axes.plot(epochs, middle, "o-", color=TRAIN, lw=1.6, ms=4, label="median")
    if published:
        axes.plot(*zip(*published), "s--", color=PUBLISHED, lw=1.6, ms=6, label="published")
    axes.axhline(guess, color=LOSS, lw=0.8, ls=":", label="guessing")
    last = max([*epochs, *(epoch for epoch, _ in published)])
    axes.set(xlabel="epoch", ylabel=name, xlim=(0.7, last + 0.3))
    axes.set_ylim(0, None if name == "loss" else 1)
    axes.set_xticks(range(1, last + 1, 1 + (last - 1) // 10))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=4, frameon=False, fontsize=8)
    axes.set_title(textwrap.fill(title, 70), fontsize=10)
    return figure


def draw_comparisons(comparisons, signals=()):
    """Accuracy of the variants of an exercise, and the signal through its untrained nets.

    Parameters
    ----------
    comparisons : list of nin_gluon.experiments.exercises.results.Comparison
        Each gets axes: a dot for every seed, a bar at their median, and a line through the runs
        of one seed; published accuracies beside them.
    signals : list of nin_gluon.experiments.exercises.results.Signal
        Of several initializations and seeds; may be empty.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = len(comparisons) + bool(signals)
    figure = Figure(figsize=(9, 3.6 * rows), layout="constrained")
    grid = figure.subplots(rows, 1, squeeze=False).ravel()
    for axes, comparison in zip(grid, comparisons):
        draw_comparison(axes, comparison)
    if signals:
        draw_signals(grid[-1], signals)
    for axes in grid:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_comparison(axes, comparison):
    """The variants of one comparison, side by side."""
    labels, by_seed = list(comparison.rows), {}
    for x, label in enumerate(labels):
        accuracies = comparison.accuracies(label)
        for seed, value in accuracies.items():
            by_seed.setdefault(seed, []).append((x, value))
        if accuracies:
            axes.hlines(median(accuracies.values()), x - 0.2, x + 0.2, color=TEST, lw=2.5,
                        label="" if x else "median")
    for seed, points in sorted(by_seed.items()):
        axes.plot(*zip(*points), "o-", color=TRAIN, lw=0.6, ms=4, alpha=0.7,
                  label="one seed" if seed == min(by_seed) else "")
    published = [(x, comparison.part.published[label]) for x, label in enumerate(labels)
                 if label in comparison.part.published]
    if published:
        axes.plot(*zip(*published), "s", color=PUBLISHED, ms=6, mfc="none",
                  label=textwrap.fill(comparison.part.published_title, 10))
    axes.set_xticks(range(len(labels)),
                    [textwrap.fill(label, 80 // len(labels)) for label in labels])
    axes.set(ylabel=f"{comparison.part.judged_by} accuracy", xlim=(-0.5, len(labels) - 0.5))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title(textwrap.fill(comparison.title, 100), fontsize=10)


def draw_signals(axes, signals):
    """How much of the images' differences is left after each ReLU, by initialization."""
    styles = dict(zip(dict.fromkeys(s.init for s in signals), ((LOSS, "o-"), (TRAIN, "s-"),
                                                               (TEST, "^-"))))
    drawn = set()
    for signal in signals:
        color, style = styles[signal.init]
        axes.plot(range(1 + len(signal.spread)), (1, *signal.spread), style, color=color, lw=0.8,
                  ms=3, alpha=0.8, label="" if signal.init in drawn else signal.init)
        drawn.add(signal.init)
    axes.set_yscale("log")
    axes.set_xticks(range(1 + len(signals[0].spread)))
    axes.set(xlabel="after ReLU (0: the images)", ylabel="spread over images")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title("what tells images apart, in the untrained net", fontsize=10)


def draw_predictions(images, labels, predictions, names, title="", columns=8):
    """Images with their true and predicted classes, the wrong predictions marked.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels, predictions : sequences of int, (n,)
    names : sequence of str
        Class names.
    title : str
    columns : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.35 * columns, 1.75 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, label, predicted in zip(grid, images, labels, predictions):
        label, predicted = int(label), int(predicted)
        draw_image(axes, image)
        right = label == predicted
        said = names[predicted] if right else f"{names[predicted]}, not\n{names[label]}"
        axes.set_title(said, fontsize=8, color=RIGHT if right else WRONG, va="bottom")
    figure.suptitle(title, fontsize=10)
    return figure


def draw_resources(result):
    """A net's parameters, MACs and outputs layer by layer, as bars.

    Parameters
    ----------
    result : dict
        What `nin_gluon.resources.measure` returns.

    Returns
    -------
    matplotlib.figure.Figure
    """
    layers = result["layers"]
    size = 4 if result["dtype"] == "float32" else 2
    figure = Figure(figsize=(11, 1.4 + 0.24 * len(layers)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    places = range(len(layers))
    for axes, name, scale, heading in (
            (panels[0], "parameters", 1e3, "parameters, thousands"),
            (panels[1], "macs", 1e6, "multiply-adds (MACs), millions"),
            (panels[2], "output", 1e6 / size, "output, MB")):
        values = [(prod(layer[name]) if name == "output" else layer[name]) / scale
                  for layer in layers]
        axes.barh(places, values, color=TRAIN)
        for place, value in zip(places, values):
            if value:
                axes.annotate(f" {value:,.3g}" if value < 1000 else f" {value:,.0f}",
                              (value, place), va="center", fontsize=7, color=LOSS)
        axes.set_xlim(0, 1.18 * max(values) or 1)
        axes.set_title(f"{heading}: {sum(values):,.4g} in all", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(places, [layer["kind"] for layer in layers])
    panels[0].invert_yaxis()
    batch, channels, height, width = result["input"]
    figure.suptitle(f"{result['model']}, input {batch} x {channels} x {height} x {width}, "
                    f"{result['dtype']}", fontsize=10)
    return figure


def draw_class_maps(images, maps, scores, labels, names, field, size, title=""):
    """Images, a row each, and over them the maps of the classes, in one scale for each row.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    maps : numpy.ndarray, (n, classes, map height, map width)
    scores : numpy.ndarray, (n, classes)
        The class with the highest is framed.
    labels : sequence of int, (n,), or None
        The true classes, where they are known.
    names : sequence of str
        Class names.
    field : list of (float, float, int)
        As from `nin_gluon.models.geometry.receptive_field`: where the maps' squares lie.
    size : (int, int)
        (height, width) in pixels of the resized image, which `field` counts in.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    classes = len(names)
    figure = Figure(figsize=(1.12 * (classes + 1) + 0.8, 1.3 * len(images) + 0.7),
                    layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0.02, wspace=0.02)
    grid = figure.subplots(len(images), classes + 1, squeeze=False)
    edges = []  # of the map, in the image's own pixels
    for (centre, step, _), count, whole, pixels in zip(field, maps.shape[2:], size,
                                                       images.shape[1:3]):
        edges += [(centre + step * (at - 0.5)) * pixels / whole - 0.5 for at in (0, count)]
    top, bottom, left, right = edges
    for i, (image, row) in enumerate(zip(images, grid)):
        predicted = int(scores[i].argmax())
        label = None if labels is None else int(labels[i])
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_facecolor("black")
        draw_image(row[0], image)
        colour = LOSS if label is None else RIGHT if label == predicted else WRONG
        said = names[predicted] if label in (None, predicted) else (
            f"{names[predicted]},\nnot {names[label]}")
        row[0].set_ylabel(said, fontsize=8, color=colour)
        norm = Normalize(0, float(maps[i].max()) or 1.0)
        for k, axes in enumerate(row[1:]):
            draw_image(axes, image // 3)
            # What is weak is transparent, for the image to be seen.
            axes.imshow(maps[i, k], "inferno", norm, alpha=0.85 * norm(maps[i, k]) ** 0.5,
                        extent=(left, right, bottom, top), interpolation="nearest")
            axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
            if i == 0:
                axes.set_title(names[k], fontsize=8)
            framed = k in (predicted, label)
            axes.set_xlabel(f"{scores[i, k]:.2f}", fontsize=7, labelpad=1,
                            weight="bold" if k == predicted else "normal")
            for spine in axes.spines.values():
                spine.set(visible=framed, color=colour if k == predicted else RIGHT, linewidth=2,
                          linestyle="-" if k == predicted else ":")
        bar = figure.colorbar(ScalarMappable(norm, "inferno"), ax=row[-1], fraction=0.1, pad=0.05)
        bar.ax.tick_params(labelsize=6)
        bar.outline.set_visible(False)
    figure.suptitle(f"{title}\nframed: predicted; dotted: true; below: scores", fontsize=9)
    return figure


def draw_image(axes, image):
    """One uint8 image, (height, width, channels), grey when it has one channel."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)


def show_fashion_mnist(images, labels):
    """Plot images in a row with their labels; as in d2lzh, returning the figure.

    Parameters
    ----------
    images : NDArray or numpy.ndarray, (n, 28, 28, 1) or (n, 1, 28, 28)
    labels : sequence of str, (n,)
    """
    figure = Figure(figsize=(1.3 * len(images), 1.6), layout="constrained")
    row = figure.subplots(1, len(images), squeeze=False)[0]
    for axes, image, label in zip(row, images, labels):
        image = image.asnumpy() if hasattr(image, "asnumpy") else image
        axes.imshow(image.reshape(28, 28), cmap="gray")
        axes.set_title(label, fontsize=9)
        axes.axis("off")
    return figure
