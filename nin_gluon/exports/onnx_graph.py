"""An ONNX model from a list of layers, their parameters and the preparation of the images.

The graph is written node by node. A tracing exporter would need the framework that it belongs to
and would fix choices that should stay open: the size of the batch and of the images, and where the
images are prepared.

Source: the operators of https://onnx.ai/onnx/operators/, in their versions of opset 13.
"""

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from nin_gluon.data.resize_weights import bilinear_weights
from nin_gluon.data.whitening import NORM
from nin_gluon.exports.layers import Layer
from nin_gluon.exports.preparation import Preparation

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["onnx_model"]

# Of 2021, so that old runtimes read the files, too; new ones read all versions.
OPSET, IR_VERSION = 13, 8

Size = Tuple[Union[int, str], Union[int, str]]  # a name stands for any number of pixels


class Graph:
    """The nodes and constants of a graph that grows along one chain."""

    def __init__(self) -> None:
        self.nodes: List[Any] = []
        self.constants: List[Any] = []

    def add(self, operator: str, *inputs: str, out: Optional[str] = None, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        from onnx import helper

        out = out or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [out], name=f"to_{out}", **attributes))
        return out

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add an array; return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.array(value, dtype, order="C"), name))
        return name


def onnx_model(layers: Sequence[Layer], parameters: Dict[str, np.ndarray], size: Size,
               preparation: Optional[Preparation] = None,
               metadata: Optional[Dict[str, str]] = None) -> "ModelProto":
    """A net as an ONNX model, checked by ``onnx.checker``.

    Parameters
    ----------
    layers : sequence of Layer
    parameters : dict of str to numpy.ndarray
        float32, in the order of the layers: weight, bias, weight, bias ...
    size : (int or str, int or str)
        Height and width of the images, in pixels; a name such as ``height`` stands for any.
    preparation : Preparation, optional
        Goes into the graph. Its input is then ``images``, uint8 (batch, height, width, channels),
        of 0 to 255. Without one the input is ``X``, float32 (batch, channels, height, width), as
        the net itself takes it.
    metadata : dict of str to str, optional
        Kept in the file.

    Returns
    -------
    onnx.ModelProto
        Outputs: ``scores`` (batch, classes), as the net's, and ``probabilities``, their softmax.
    """
    import onnx
    from onnx import TensorProto, helper

    from nin_gluon import __version__

    graph, channels = Graph(), next(iter(parameters.values())).shape[1]
    if preparation:
        image = helper.make_tensor_value_info("images", TensorProto.UINT8,
                                              ["batch", *size, channels])
        x = prepare(graph, "images", preparation)
    else:
        image = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", channels, *size])
        x = "X"
    add_layers(graph, x, layers, parameters)
    graph.nodes[-1].output[0] = "scores"
    graph.add("Softmax", "scores", out="probabilities", axis=1)
    classes = len(list(parameters.values())[-1])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", classes])
               for name in ("scores", "probabilities")]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "nin_gluon", [image], outputs, graph.constants),
        producer_name="nin_gluon", producer_version=__version__, ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)])
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model, full_check=True)
    return model


def add_layers(graph: Graph, x: str, layers: Sequence[Layer],
               parameters: Dict[str, np.ndarray]) -> None:
    """Add the net's layers, the first on `x`."""
    arrays = iter(parameters.items())
    flat = False
    for layer in layers:
        window: Dict[str, Any] = {"kernel_shape": layer.kernel, "strides": layer.stride,
                                  "pads": layer.pad * 2}
        if layer.kind in ("convolution", "dense"):
            given = [graph.constant(name, array) for name, array in (next(arrays), next(arrays))]
        if layer.kind == "convolution":
            x = graph.add("Conv", x, *given, **window)
        elif layer.kind == "max":
            x = graph.add("MaxPool", x, **window, ceil_mode=int(layer.ceil))
        elif layer.kind == "average":
            # Both frameworks divide by the pixels there are, and no net here pads.
            x = graph.add("AveragePool", x, **window, ceil_mode=int(layer.ceil))
        elif layer.kind == "global average":
            x = graph.add("GlobalAveragePool", x)
        elif layer.kind == "flatten":
            x, flat = graph.add("Flatten", x), True
        else:
            x = x if flat else graph.add("Flatten", x)
            x = graph.add("Gemm", x, *given, transB=1)
        if layer.relu:
            x = graph.add("Relu", x)


# ------------------------------------------------------------------ images


def prepare(graph: Graph, x: str, preparation: Preparation) -> str:
    """Add what turns pixels (batch, height, width, channels) into the net's input."""
    if preparation.resize:
        x = resized(graph, x, *preparation.resize)
    x = graph.add("Cast", x, to=1)  # float32
    if preparation.name == "none":
        x = graph.add("Div", x, graph.constant("255", 255))
    elif preparation.name == "standardize":
        x = graph.add("Mul", x, graph.constant("slope", preparation.line[1]))
        x = graph.add("Add", x, graph.constant("level_0", preparation.line[0]))
    else:
        x = contrast_normalized(graph, x)
    if preparation.whitening:
        mean, matrix = preparation.whitening
        shape = graph.add("Shape", x)
        x = graph.add("Sub", graph.add("Flatten", x), graph.constant("mean", mean))
        x = graph.add("MatMul", x, graph.constant("whitening", matrix))
        x = graph.add("Reshape", x, shape)
    return graph.add("Transpose", x, perm=[0, 3, 1, 2])


def contrast_normalized(graph: Graph, x: str) -> str:
    """`nin_gluon.data.preprocess.contrast_normalize`."""
    axes: Dict[str, Any] = {"axes": [1, 2, 3], "keepdims": 1}
    x = graph.add("Sub", x, graph.add("ReduceMean", x, **axes))
    norm = graph.add("ReduceL2", x, **axes)
    is_zero = graph.add("Cast", graph.add("Equal", norm, graph.constant("zero", 0)), to=1)
    scale = graph.add("Div", graph.constant("norm", NORM), graph.add("Add", norm, is_zero))
    return graph.add("Mul", x, scale)


def resized(graph: Graph, x: str, old: Tuple[int, int], new: Tuple[int, int]) -> str:
    """`nin_gluon.data.resize.BilinearResize`: the same integers, so the same pixels."""
    rows, row_weights, columns, column_weights = bilinear_weights(old, new)
    x = graph.add("Cast", x, to=6)  # int32, in which all of this is exact; Div cuts off

    def taps(x: str, axis: int, name: str, places: np.ndarray, weights: np.ndarray,
             shape: Sequence[int]) -> List[str]:
        return [graph.add("Mul", graph.add("Gather", x, graph.constant(f"{name}_{i}", place,
                                                                       np.int64), axis=axis),
                          graph.constant(f"{name}_weight_{i}", weight.reshape(shape), np.int32))
                for i, (place, weight) in enumerate(zip(places, weights))]

    def cut(x: str, divisor: int) -> str:
        return graph.add("Div", x, graph.constant(f"by_{divisor}_{len(graph.nodes)}", divisor,
                                                  np.int32))

    wide = cut(graph.add("Add", *taps(x, 2, "column", columns, column_weights, (1, 1, -1, 1))), 16)
    high = [cut(part, 65536)
            for part in taps(wide, 1, "row", rows, row_weights, (1, -1, 1, 1))]
    high_sum = graph.add("Add", graph.add("Add", *high), graph.constant("2", 2, np.int32))
    return cut(high_sum, 4)
