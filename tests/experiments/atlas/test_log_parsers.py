"""Logs in text, in notebooks and in the pictures that notebooks keep."""

import io
import json
import re

import pytest
from matplotlib.figure import Figure

from nin_gluon import InputError
from nin_gluon.experiments.atlas.log_parsers import parse_file, parse_text
from nin_gluon.experiments.atlas.svg_plots import read_plot
from nin_gluon.training.history import EpochRecord

D2LZH = """\
training on gpu(0)
epoch 1, loss 2.2600, train acc 0.151, test acc 0.363, time 24.1 sec
epoch 2, loss 1.6500, train acc 0.382, test acc 0.571, time 22.9 sec
"""

CLOSING = """\
loss 0.351, train acc 0.872, test acc 0.873
1720.5 examples/sec on cuda:0
"""


PLAIN = "\n".join(line.split(", time")[0] for line in D2LZH.splitlines()[1:])  # no times


def only(text):
    log, = parse_text(text)
    return log


# ------------------------------------------------------------------ text


def test_lines_of_d2lzh():
    log = only(D2LZH)
    assert log.values == {"loss": [2.26, 1.65], "train_acc": [0.151, 0.382],
                          "test_acc": [0.363, 0.571]}
    assert (log.device, log.framework, log.read_from) == ("gpu(0)", "mxnet", "printed")


def test_lines_of_this_package_are_read_back():
    records = [EpochRecord(1, 2.1, 0.25, 0.5, 60.0), EpochRecord(2, 1.1, 0.5, 0.625, 61.0)]
    log = only("\n".join(map(str, records)))
    assert log.values["test_acc"] == [0.5, 0.625] and log.values["loss"] == [2.1, 1.1]


def test_lines_of_the_pytorch_ports():
    log = only(D2LZH.replace("gpu(0)", " cuda"))
    assert (log.device, log.framework) == ("cuda", "pytorch")


def test_lines_of_notebooks_that_were_made_into_markdown():
    log = only("```{.json .output n=20}\n[\n {\n  \"name\": \"stdout\",\n"
               f'  "text": {json.dumps(D2LZH)}\n' " }\n]\n```\n")
    assert log == only(D2LZH)


@pytest.mark.parametrize("fence", ["```python", "```{.python .input  n=3}", "``` python"])
def test_markdown_that_shows_the_code(tmp_path, fence):
    code = "import d2lzh as d2l\nlr, num_epochs, batch_size = 0.1, 2, 128\nnet = d2l.nin()\n"
    (tmp_path / "nin.md").write_text(f"# NiN\n\n{fence}\n{code}```\n\n```\n{D2LZH}```\n")
    log, = parse_file(tmp_path / "nin.md")
    assert (log.framework, log.recipe, log.epochs) == ("mxnet", "sgd-0.1", 2)
    assert log.values == only(D2LZH).values


def test_lines_that_were_joined():
    assert only(" ".join(D2LZH.splitlines()[1:])).values == only(D2LZH).values


def test_lines_that_say_how_many_epochs_there_are():
    log = only("training on: [cuda:0], [2024-05-01 12:00:00]\n"
               "epoch: 1/2, loss 2.301, train acc 0.104, test acc 0.119\n"
               "epoch: 2/2, loss 2.081, train acc 0.231, test acc 0.434\n"
               "*** 700.1 examples/sec on cuda:0 - [0:00:13:58], all: [0:00:18:48] ***\n")
    assert log.values["loss"] == [2.301, 2.081]
    assert (log.epochs, log.device, log.framework) == (2, "cuda:0", "pytorch")


@pytest.mark.parametrize("old, new", [
    (r"epoch (.),", r"epoch \1:"), (r"epoch (.),", r"Epoch [\1/2],"),
    (r"epoch (.),", r"epoch \1 / 2,"), ("loss", "train loss"),
    ("epoch", "\x1b[32mepoch"), (", train", "\x1b[0m, train")])
def test_other_ways_to_write_a_line(old, new):
    assert only(re.sub(old, new, D2LZH)).values == only(D2LZH).values


def test_lines_of_the_first_drafts_count_from_0():
    text = ("Epoch 0. Loss: 1.126, Train acc 0.611, Test acc 0.702, Time 23.4 sec\n"
            "Epoch 1. Loss: 0.926, Train acc 0.655, Test acc 0.742, Time 23.1 sec\n")
    assert only(text).values["test_acc"] == [0.702, 0.742]
    assert only(text.replace(" acc", "_acc")) == only(text)


@pytest.mark.parametrize("device, framework", [
    ("cuda:0", "pytorch"), ("/GPU:0", "tensorflow"), ("Place(gpu:0)", "paddle"),
    ("gpu(0)", "mxnet-np"), ("[gpu(0)]", "mxnet-np"), ("a toaster", None)])
def test_closing_lines(device, framework):
    log = only(CLOSING.replace("cuda:0", device))
    assert log.values == {"loss": [0.351], "train_acc": [0.872], "test_acc": [0.873]}
    assert (log.framework, log.read_from) == (framework, "last line")


def test_the_first_editions_misspell_the_rate():
    assert only(CLOSING.replace("examples", "exampes")).framework == "pytorch"


@pytest.mark.parametrize("cut", range(30, 80, 3))
def test_no_number_of_a_long_line_loses_digits(cut):
    """Only the beginning of a line is read. What is cut within the figures is no log."""
    line = D2LZH.splitlines()[1]
    found = parse_text("-" * (499 - cut) + " " + line)
    assert not found or found[0].values == only(line).values


def test_closing_lines_in_a_quoted_comment():
    assert only("> # loss 0.563, train acc 0.783, test acc 0.772\n").values["test_acc"] == [0.772]


def test_closing_lines_after_lines_of_the_same_run_are_no_second_one():
    log = only("epoch 1, loss 0.3512, train acc 0.872, test acc 0.873, time 2.0 sec\n" + CLOSING)
    assert (log.read_from, log.device) == ("printed", "cuda:0")


def test_runs_in_one_text():
    logs = parse_text(D2LZH + D2LZH.replace("0.571", "0.600") + CLOSING)
    assert [log.values["test_acc"][-1] for log in logs] == [0.571, 0.6, 0.873]


def test_a_loss_that_is_no_number_is_not_known():
    log = only("epoch 1, loss nan, train acc 0.100, test acc 0.100, time 2.0 sec")
    assert log.values == {"loss": [None], "train_acc": [0.1], "test_acc": [0.1]}


@pytest.mark.parametrize("text", ["", "epoch 1, loss", "loss {l:.3f}, train acc {a}, test acc {t}",
                                  "step 2, train_acc: 0.0898", "loss: x, train acc y, test acc z"])
def test_text_without_a_log(text):
    assert parse_text(text) == []


@pytest.mark.parametrize("text, complaint", [
    (D2LZH.replace("epoch 2", "epoch 3"), "epoch 3 where epoch 2 belongs"),
    (D2LZH.replace("epoch 1", "epoch 2").replace("epoch 2", "epoch 5", 1), "begins with epoch 5"),
    (D2LZH[:D2LZH.rindex("0.571") + 3], "the line of epoch 2 is cut off"),  # 0.5
    (D2LZH[:D2LZH.rindex("0.571") + 5], "the line of epoch 2 is cut off"),
    (D2LZH[:D2LZH.rindex("0.571") + 3] + "\nKeyboardInterrupt\n", "epoch 2 is cut off"),
    (PLAIN[:-1], "the line of epoch 2 is cut off"),
])
def test_nothing_may_be_missing(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_text(text)


# ------------------------------------------------------------------ notebooks


def notebook(path, *cells):
    """A notebook of code cells (source, outputs)."""
    content = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [
        {"cell_type": "markdown", "source": ["epoch 1, loss 9, train acc 0.9, test acc 0.9"]},
        *({"cell_type": "code", "source": source, "outputs": outputs}
          for source, outputs in cells)]}
    path.write_text(json.dumps(content), "utf-8")
    return path


def printed(text):
    # As notebooks keep it: a list of lines.
    return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}


def drawn(svg):
    return {"output_type": "display_data", "data": {"image/svg+xml": svg, "text/plain": "<Figure>"}}


def test_a_notebook_of_the_first_edition(tmp_path):
    lines = D2LZH.splitlines(keepends=True)
    log, = parse_file(notebook(
        tmp_path / "nin.ipynb",
        ("import d2lzh as d2l\nfrom mxnet import gluon, init, nd\ndef nin_block(): pass", []),
        ("lr, num_epochs, batch_size, ctx = 0.1, 2, 128, d2l.try_gpu()\n"
         "train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size, resize=224)",
         [printed(line) for line in lines])))
    assert (log.framework, log.recipe, log.epochs) == ("mxnet", "sgd-0.1", 2)
    assert log.values["test_acc"] == [0.363, 0.571]


@pytest.mark.parametrize("imports, framework", [
    ("from d2l import mxnet as d2l\nfrom mxnet import np, npx\nfrom mxnet.gluon import nn",
     "mxnet-np"),
    ("import torch\nfrom torch import nn\nfrom d2l import torch as d2l", "pytorch"),
    ("import tensorflow as tf\nfrom d2l import tensorflow as d2l", "tensorflow"),
    ("from d2l import paddle as d2l\nimport paddle", "paddle"),
    ("from d2l import jax as d2l\nfrom flax import linen as nn", "jax"),
    ("import torch\nimport tensorflow", None),
])
def test_the_framework_is_the_one_that_is_imported(tmp_path, imports, framework):
    path = notebook(tmp_path / "nin.ipynb", (imports + "\nnet = nin()", []), (
        "lr, num_epochs, batch_size = 0.1, 10, 128", [printed(CLOSING.splitlines()[0])]))
    log, = parse_file(path)
    assert (log.framework, log.recipe, log.epochs) == (framework, "sgd-0.1", 10)


@pytest.mark.parametrize("source, recipe", [
    ("lr, num_epochs, batch_size = 0.1, 10, 128", "sgd-0.1"),
    ("lr, num_epochs = 0.002, 5\noptimizer = torch.optim.Adam(net.parameters(), lr=lr)",
     "adam-0.002"),
    ("lr, num_epochs, batch_size = 0.05, 10, 128", "sgd-0.05"),
    ("lr, num_epochs, batch_size = 0.1, 10, 256", None),
    ("lr, num_epochs, batch_size = 0.3, 10, 128", None),
    ("lr, num_epochs, batch_size = 0.1, 10, 128; load(batch_size, resize=96)", None),
    ("lr, num_epochs, batch_size = 0.1, 10, 128; nn.AdaptiveMaxPool2d((1, 1))",
     "sgd-0.1-max-pooling"),
    ("lr, num_epochs = 0.2, 20; net.add(mlpconv(96)); load(batch_size, resize=112)", "mlpconv"),
    ("train()", None),
])
def test_the_recipe_is_what_the_code_says(tmp_path, source, recipe):
    log, = parse_file(notebook(tmp_path / "nin.ipynb", ("class NiN: pass", []),
                               (source, [printed(CLOSING)])))
    assert log.recipe == recipe


@pytest.mark.parametrize("net", ["net = vgg(conv_arch)", "net = nn.Sequential(AlexNet())",
                                 "training(alexnet)", "finin = mining()", "TRAINING = vgg()",
                                 "import nin_gluon as d2l\nnet = vgg()", "vgg()  # unlike NiN"])
def test_another_nets_log_has_no_recipe_of_this_one(tmp_path, net):
    source = f"{net}\nlr, num_epochs, batch_size = 0.1, 10, 128"
    log, = parse_file(notebook(tmp_path / "vgg.ipynb", (source, [printed(CLOSING)])))
    assert (log.recipe, log.epochs) == (None, 10)


@pytest.mark.parametrize("net", ["net = MyNiN()", "net = NiNet()", "nin_block(96)", "d2l.nin()"])
def test_names_of_this_net(tmp_path, net):
    source = f"{net}\nlr, num_epochs, batch_size = 0.1, 10, 128"
    log, = parse_file(notebook(tmp_path / "nin.ipynb", (source, [printed(CLOSING)])))
    assert log.recipe == "sgd-0.1"


@pytest.mark.parametrize("text", [PLAIN, PLAIN + "\n", D2LZH.rstrip("\n"),
                                  PLAIN.replace("0.363", "0.363  # warm"),
                                  PLAIN + "\nepoch 1, loss 2.1, train acc 0.2, test acc 0.5\n"])
def test_whole_lines_are_not_taken_for_cut_ones(text):
    assert parse_text(text)[0].values["test_acc"] == [0.363, 0.571]


def test_a_line_of_many_digits_takes_no_time():
    digits = "1" * 200_000
    assert parse_text(D2LZH + f"epoch 1, loss {digits}\n")[0].values["test_acc"] == [0.363, 0.571]


def test_a_broken_log_does_not_hide_a_whole_one(tmp_path, caplog):
    """As of a run that was resumed in a cell of its own."""
    later = D2LZH.replace("epoch 2", "epoch 4").replace("epoch 1", "epoch 3")
    path = notebook(tmp_path / "nin.ipynb", ("nin()", [printed(D2LZH)]), ("", [printed(later)]))
    log, = parse_file(path)
    assert log.values["test_acc"] == [0.363, 0.571]
    assert "left out: a log in a cell of its own (a log begins with epoch 3)" in caplog.text
    with pytest.raises(InputError, match="begins with epoch 3"):
        parse_file(notebook(tmp_path / "nin.ipynb", ("nin()", [printed(later)])))


def test_names_and_encodings_of_other_systems(tmp_path):
    path = notebook(tmp_path / "NIN.IPYNB", ("nin()\nlr, num_epochs = 1e-1, 2", [printed(D2LZH)]))
    log, = parse_file(path)
    assert log.recipe == "sgd-0.1"
    # What the shell's > wrote in older versions of Windows.
    (tmp_path / "log.txt").write_bytes(D2LZH.encode("utf-16"))
    log, = parse_file(tmp_path / "log.txt")
    assert log.values["test_acc"] == [0.363, 0.571]
    (tmp_path / "log.txt").write_bytes(D2LZH.encode("utf-16")[:-1])
    with pytest.raises(InputError, match="log.txt"):
        parse_file(tmp_path / "log.txt")


# ------------------------------------------------------------------ plots


def svg_of(figure):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


STYLES = ("-", "m--", "g-.")


def plot(series, redraw=False):
    """A plot as the editions draw it: {legend entry: (x, y)}."""
    figure = Figure(figsize=(3.5, 2.5))
    axes = figure.subplots()
    length = max(len(x) for x, _ in series.values())
    for done in range(1 if redraw else length, length + 1):
        lines = [axes.plot(x[:done], y[:done], style)[0]
                 for (x, y), style in zip(series.values(), STYLES)]
    axes.set(xlabel="epoch", xlim=(1, 10))
    axes.legend(lines, list(series))
    axes.grid()
    return svg_of(figure)


# Three epochs with two points within each; some editions draw the last one before the end.
WITHIN = [0.5, 1.0, 1.5, 2.0, 2.5, 2.957]
LOSS, TRAIN = [2.302, 2.1, 1.9, 1.6, 1.2, 0.987], [0.1, 0.21, 0.33, 0.45, 0.5, 0.666]
TEST = [0.301, 0.1, 0.712]


def test_the_values_of_a_plot_are_read_back():
    svg = plot({"train loss": (WITHIN, LOSS), "train acc": (WITHIN, TRAIN),
                "test acc": ([1, 2, 3], TEST)})
    assert read_plot(svg, 4) == {"loss": [2.1, 1.6, 0.987, None],
                                 "train_acc": [0.21, 0.45, 0.666, None],
                                 "test_acc": [0.301, 0.1, 0.712, None]}


def test_a_plot_that_was_drawn_over_and_over():
    svg = plot({"train_loss": (WITHIN, LOSS), "val_loss": ([1, 2, 3], [2.0, 1.5, 1.0]),
                "val_acc": ([1, 2, 3], TEST)}, redraw=True)
    assert read_plot(svg, 3) == {"test_acc": TEST}


def test_a_notebook_that_prints_its_last_epoch_and_draws_the_others(tmp_path):
    svg = plot({"train loss": (WITHIN, LOSS), "train acc": (WITHIN, TRAIN),
                "test acc": ([1, 2, 3], TEST)})
    closing = "loss 0.985, train acc 0.667, test acc 0.712\n99.5 examples/sec on cuda:0\n"
    log, = parse_file(notebook(tmp_path / "nin.ipynb", ("from d2l import torch as d2l", []), (
        "lr, num_epochs, batch_size = 0.1, 3, 128\nd2l.train_ch6(net)",
        [printed(closing), drawn(svg)])))
    assert log.values == {"loss": [2.1, 1.6, 0.985], "train_acc": [0.21, 0.45, 0.667],
                          "test_acc": TEST}
    assert (log.read_from, log.framework, log.device) == ("plot", "pytorch", "cuda:0")


def test_a_notebook_that_only_draws(tmp_path):
    svg = plot({"train_loss": (WITHIN, LOSS), "val_loss": ([1, 2, 3], [2.0, 1.5, 1.0]),
                "val_acc": ([1, 2, 3], TEST)}, redraw=True)
    log, = parse_file(notebook(tmp_path / "nin.ipynb", ("from d2l import jax as d2l", []), (
        "model = NiN(lr=0.05)\ntrainer = d2l.Trainer(max_epochs=10)\n"
        "data = d2l.FashionMNIST(batch_size=128, resize=(224, 224))\ntrainer.fit(model, data)",
        [drawn([svg])])))
    assert log.values == {"test_acc": TEST}
    assert (log.framework, log.recipe, log.epochs) == ("jax", "sgd-0.05", 10)


def test_a_run_that_was_broken_off_is_read_as_it_stood(tmp_path):
    """It has drawn, but not printed its last line."""
    svg = plot({"train loss": (WITHIN, LOSS), "train acc": (WITHIN, TRAIN),
                "test acc": ([1, 2], TEST[:2])})
    stopped = {"output_type": "error", "ename": "KeyboardInterrupt", "traceback": []}
    log, = parse_file(notebook(tmp_path / "nin.ipynb", ("from d2l import torch as d2l", []), (
        "lr, num_epochs, batch_size = 0.1, 10, 128\nd2l.train_ch6(net)", [stopped, drawn(svg)])))
    assert (log.epochs, log.read_from, log.values["test_acc"]) == (10, "plot", TEST[:2])


@pytest.mark.parametrize("told", [2, 10])
def test_a_run_of_other_epochs_than_the_code_says(tmp_path, told):
    """It came to its end after three, so the code was changed after it and tells no recipe."""
    svg = plot({"train loss": (WITHIN, LOSS), "test acc": ([1, 2, 3], TEST)})
    log, = parse_file(notebook(tmp_path / "nin.ipynb", (
        f"lr, num_epochs, batch_size = 0.1, {told}, 128\nd2l.train_ch6(nin())",
        [printed("loss 0.985, train acc 0.667, test acc 0.712\n"), drawn(svg)])))
    assert (log.epochs, log.recipe, log.values["test_acc"]) == (3, None, TEST)


def test_a_picture_of_another_run_is_left_alone(tmp_path):
    svg = plot({"train loss": (WITHIN, LOSS), "test acc": ([1, 2, 3], TEST)})
    log, = parse_file(notebook(tmp_path / "nin.ipynb", (
        "lr, num_epochs, batch_size = 0.1, 3, 128\nd2l.train_ch6(nin())",
        [printed("loss 0.5, train acc 0.8, test acc 0.812\n"), drawn(svg)])))
    assert (log.read_from, log.values["test_acc"]) == ("last line", [0.812])


def test_several_runs_in_a_cell_have_no_recipe(tmp_path):
    """Nothing says which is which, nor whose the picture is."""
    svg = plot({"train loss": (WITHIN, LOSS), "test acc": ([1, 2, 3], TEST)})
    logs = parse_file(notebook(tmp_path / "nin.ipynb", (
        "batch_size = 128\nfor lr in (0.1, 0.05): d2l.train_ch6(nin(), a, b, 3, lr)",
        [printed("loss 0.5, train acc 0.8, test acc 0.812\n" + CLOSING), drawn(svg)])))
    assert [(log.recipe, log.read_from) for log in logs] == [(None, "last line")] * 2


def test_a_run_whose_loss_blew_up(tmp_path):
    """Beside the axis stands 1e6: the accuracies in the plot have lost their digits."""
    svg = plot({"train loss": ([1, 2, 3], [2.0, 4.6e6, 2.3]), "test acc": ([1, 2, 3], [0.1] * 3)})
    assert read_plot(svg, 10) is None


def test_a_log_that_begins_with_a_trained_net(tmp_path, caplog):
    text = D2LZH.replace("0.151", "0.787").replace("0.382", "0.801")
    log, = parse_file(notebook(tmp_path / "nin.ipynb", (
        "lr, num_epochs, batch_size = 0.1, 2, 128\nd2l.train_ch5(nin())", [printed(text)])))
    assert log.recipe is None and "0.787, so its net was not new" in caplog.text


@pytest.mark.parametrize("svg", [
    "", "<svg", "<svg/>", "not xml", '<!DOCTYPE s [<!ENTITY a "b">]><svg id="axes_1">&a;</svg>',
    '<svg><g id="axes_1"><g id="legend_1"><!-- test acc --></g></g></svg>', "<a>" * 5000,
])
def test_what_is_no_plot(svg):
    assert read_plot(svg, 10) is None


def test_another_plot_is_left_alone():
    assert read_plot(plot({"width": ([1, 2], [3, 4])}), 10) is None


# ------------------------------------------------------------------ hostile files


@pytest.mark.parametrize("name, content", [
    ("a.ipynb", b""), ("a.ipynb", b"{}"), ("a.ipynb", b"[]"), ("a.ipynb", b'{"cells": 3}'),
    ("a.ipynb", b'{"cells": [3, {"cell_type": "code", "source": 3, "outputs": [3]}]}'),
    ("a.ipynb", b"[" * 100_000), ("a.ipynb", b"\xff"), ("a.txt", b"\xff\xfe\x00"), ("a.txt", b""),
    ("a.ipynb", b'{"cells": [{"cell_type": "code", "source": "x", "outputs": [{"output_type": '
                b'"display_data", "data": {"image/svg+xml": ["<svg"]}}]}]}'),
])
def test_a_file_that_holds_no_log_is_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        parse_file(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_a_folder_and_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(InputError, match="is not a file|is a folder, not a file"):
            parse_file(path)


def test_endless_repetition_takes_no_endless_time(tmp_path):
    source = "lr, num_epochs, batch_size " * 20_000 + "from mxnet import " * 20_000 + "\n" * 20_000
    text = (D2LZH.splitlines()[1] + "\n") * 50 + "epoch 1, loss " * 100_000
    path = notebook(tmp_path / "nin.ipynb", (source, [printed(text)]))
    assert len(parse_file(path)) == 50
    with pytest.raises(InputError, match="more than 100 logs"):
        parse_file(notebook(path, ("", [printed((D2LZH.splitlines()[1] + "\n") * 101)])))
