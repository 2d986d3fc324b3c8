"""The resources command: arithmetic against what MXNet allocates, and against what is published."""

import json

import pytest

from nin_gluon import plots
from nin_gluon.analysis import memory
from nin_gluon.experiments import published as textbook
from nin_gluon.models import get_model
from nin_gluon.models.geometry import layer_table, leaves, title
from nin_gluon.resources import main, measure


def test_what_training_keeps_is_what_mxnet_keeps_to_the_byte():
    """A forward pass in training leaves behind what the arithmetic says, beside the parameters."""
    result = measure(size=67, batch=3, check=True)
    assert set(result["allocated"]) == set(memory.WAYS)
    found, expected = result["allocated"]["training, layer by layer"], result["bytes"]["training"]
    assert found["forward"] == expected["activations"]
    both = expected["parameters"] + expected["gradients of parameters"]
    assert both <= found["parameters"] < both + 1000  # a random state
    assert expected["images"] <= found["images"] < expected["images"] + 1000  # labels
    for way, part in result["allocated"].items():
        inference = way.startswith("inference")
        assert part["peak"] > part["parameters"] + part["images"]
        assert part["process"] > 0
        assert (part["parameters"] < both) == inference


def test_a_layer_is_a_row_and_rows_sum_to_the_nets():
    result = measure()
    assert (result["parameters"], result["macs"]) == (1_992_166, 762_297_352)
    kinds = [layer["kind"] for layer in result["layers"]]
    assert kinds[:4] == ["11x11 convolution, stride 4", "1x1 convolution", "1x1 convolution",
                         "3x3 max pooling, stride 2"]
    assert len(kinds) == 18 and kinds.count("1x1 convolution") == 8
    # Before and after each ReLU; 96, 256, 384 and 10 channels, three convolutions of each.
    maps = (96 * 54 * 54, 256 * 26 * 26, 384 * 12 * 12, 10 * 5 * 5)
    rest = 96 * 26 * 26 + 256 * 12 * 12 + 2 * 384 * 5 * 5 + 20
    assert sum(layer["values"] for layer in result["layers"]) == 6 * sum(maps) + rest


def test_a_training_step_costs_what_the_benchmark_says():
    from benchmarks.compare import training_flops

    assert measure()["training_flops"] == training_flops(224, 224)


@pytest.mark.parametrize("model", ["nin", "mlpconv_nin"])
def test_blocks_and_the_layers_inside_cost_the_same(model):
    net, shape = get_model(model), (2, 3, 80, 67)
    blocks, layers = layer_table(net, shape), layer_table(net, shape, inside=True)
    for column in ("parameters", "macs", "values"):
        assert (sum(getattr(row, column) for row in blocks)
                == sum(getattr(row, column) for row in layers))
    assert blocks[-1].output == layers[-1].output == (2, 10)


def test_the_published_figures_are_those_of_three_channels_in_powers_of_1024():
    rows = {row["figure"]: row for row in measure()["published"]}
    assert set(rows) == set(textbook.RESOURCES)
    for name in ("parameters", "compute", "inference parameters", "training parameters"):
        assert round(rows[name]["three_channels"], 2) == rows[name]["published"]
        assert round(rows[name]["exact"], 2) != rows[name]["published"]
    activations = rows["inference activations"]  # the one that is not explained to the digit
    assert activations["three_channels"] == pytest.approx(activations["published"], rel=0.003)
    assert round(activations["three_channels"], 2) != activations["published"]


def test_memory_grows_with_the_batch_and_shrinks_with_bfloat16():
    one, two, half = measure(), measure(batch=2), measure(dtype="bfloat16")
    for case in ("inference", "training"):
        first, second, in_half = (result["bytes"][case] for result in (one, two, half))
        assert second["parameters"] == first["parameters"]
        assert second["activations"] == 2 * first["activations"] == 4 * in_half["activations"]
        assert first["total"] == sum(first.values()) - first["total"]
    assert half["bytes"]["training"]["copies in bfloat16"] == 2 * 1_992_166
    assert two["published"] is None


def test_titles_say_what_a_layer_is():
    assert [title(leaf) for leaf in leaves(get_model("nin"))][-6:] == [
        "dropout", "3x3 convolution", "1x1 convolution", "1x1 convolution",
        "global avg pooling", "flatten"]


def test_tables_json_and_picture(tmp_path, capsys):
    picture = tmp_path / "costs.png"
    assert main(["--size", "80x67", "--model", "mlpconv_nin", "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    assert "mlpconv_nin, 1 image of 1 x 80 x 67, float32" in text
    assert "1,992,166" in text and "published" not in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["flops"] == 2 * 762_297_352
    assert main([]) == 0
    assert "1.922" in capsys.readouterr().out


def test_the_picture_has_a_bar_a_layer():
    result = measure(size=67)
    panels = plots.draw_resources(result).axes
    widths = [bar.get_width() for bar in panels[0].patches]
    assert widths == [layer["parameters"] / 1e3 for layer in result["layers"]]


@pytest.mark.parametrize("arguments, sentence", [
    (["--size", "66"], "66x66 pixels is too small"),
    (["--model", "lenet"], "unknown model 'lenet'"),
    (["--batch", "0"], "at least 1"),
    (["--model", "nin,classes=1000000000000"], "whole number from 1"),
    (["--model", "nin_variant,inner_kernel=999999999999999999999"],
     "cannot make nin_variant,inner_kernel=999999999999999999999"),
    (["--out", "costs.txt"], "no picture's name"),
    (["--out", "nowhere/costs.png"], "no folder nowhere"),
])
def test_bad_requests_get_one_line_and_status_2(arguments, sentence, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_picture_that_is_there_is_left_alone(tmp_path, capsys):
    picture = tmp_path / "mine.png"
    picture.write_text("mine")
    assert main(["--out", str(picture)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert picture.read_text() == "mine"


def test_the_help_shows_the_papers_parameters(capsys):
    """Its example says what it prints."""
    with pytest.raises(SystemExit):
        main(["--help"])
    example = "--model cifar_nin --size 32 --channels 3"
    text = capsys.readouterr().out
    assert example in text and "966,986" in text
    assert main(example.split()) == 0
    assert "966,986" in capsys.readouterr().out


def test_what_cannot_be_run_is_said_in_one_line(capsys):
    """A process that fails is named, with its reason."""
    with pytest.raises(memory.InputError, match="failed .*not known"):
        memory.allocations("nin", (1, 1, 67, 67), "decimal")
