"""What a net costs: arithmetic, against sums by hand and the benchmark's own count."""

import pytest

from nin_gluon.analysis.cost import measure
from nin_gluon.models import get_model
from nin_gluon.models.geometry import layer_table, leaves, title

CHAPTER = (1, 1, 224, 224)


def test_a_layer_is_a_row_and_rows_sum_to_the_nets():
    result = measure("nin", CHAPTER)
    assert (result["parameters"], result["macs"]) == (1_992_166, 762_297_352)
    kinds = [layer["kind"] for layer in result["layers"]]
    assert kinds[:4] == ["11x11 convolution, stride 4", "1x1 convolution", "1x1 convolution",
                         "3x3 max pooling, stride 2"]
    assert len(kinds) == 18 and kinds.count("1x1 convolution") == 8
    # Before and after each ReLU; 96, 256, 384 and 10 channels, three convolutions of each.
    maps = (96 * 54 * 54, 256 * 26 * 26, 384 * 12 * 12, 10 * 5 * 5)
    rest = 96 * 26 * 26 + 256 * 12 * 12 + 2 * 384 * 5 * 5 + 20
    assert sum(layer["values"] for layer in result["layers"]) == 6 * sum(maps) + rest


@pytest.mark.parametrize("model", ["nin", "mlpconv_nin"])
def test_blocks_and_the_layers_inside_cost_the_same(model):
    net, shape = get_model(model), (2, 3, 80, 67)
    blocks, layers = layer_table(net, shape), layer_table(net, shape, inside=True)
    for column in ("parameters", "macs", "values"):
        assert (sum(getattr(row, column) for row in blocks)
                == sum(getattr(row, column) for row in layers))
    assert blocks[-1].output == layers[-1].output == (2, 10)


def test_memory_grows_with_the_batch_and_shrinks_with_bfloat16():
    one, two, half = (measure("nin", CHAPTER), measure("nin", (2, *CHAPTER[1:])),
                      measure("nin", CHAPTER, "bfloat16"))
    for case in ("inference", "training"):
        first, second, in_half = (result["bytes"][case] for result in (one, two, half))
        assert second["parameters"] == first["parameters"]
        assert second["activations"] == 2 * first["activations"] == 4 * in_half["activations"]
        assert first["total"] == sum(first.values()) - first["total"]
    assert half["bytes"]["training"]["copies in bfloat16"] == 2 * 1_992_166


def test_titles_say_what_a_layer_is():
    assert [title(leaf) for leaf in leaves(get_model("nin"))][-6:] == [
        "dropout", "3x3 convolution", "1x1 convolution", "1x1 convolution",
        "global avg pooling", "flatten"]
