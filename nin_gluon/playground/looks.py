"""What the page shows: what a net makes of a picture, and test images to give it. JSON-ready."""

import base64
import io
from typing import Any, Dict, Optional

import numpy as np
from PIL import Image

from nin_gluon.analysis.evaluation import probabilities
from nin_gluon.analysis.net_recipe import LayerOutput
from nin_gluon.analysis.own_images import decode, fit
from nin_gluon.analysis.trained_net import TrainedNet, evaluation_images
from nin_gluon.data.sets import DATASETS, has_image_set, load_image_set
from nin_gluon.errors import InputError

__all__ = ["look", "some_images"]

CHANNELS = 12  # of each layer, as pictures
FEWEST_SHADES = 1e-12  # below this, a layer is zero everywhere


def look(net: TrainedNet, content: bytes, size: int, invert: Optional[bool]) -> Dict[str, Any]:
    """What a net makes of a picture.

    Parameters
    ----------
    net : TrainedNet
    content : bytes
        Of an image file.
    size : int
        The edge in pixels to which the picture is resized.
    invert : bool, optional
        Whether to swap light and dark; by default as `nin_gluon.analysis.own_images.fit` decides.

    Raises
    ------
    InputError
        The content is no image, or the net gives no numbers.
    """
    given = fit(decode(content, "the picture"), net.shape, invert)
    outputs = net.walk(given.pixels, size)
    last = max(i for i, output in enumerate(outputs)
               if any(layer.kind == "convolution" for layer in output.layers))
    maps, scores = outputs[last].values, outputs[-1].values
    if not np.isfinite(scores).all():
        raise InputError("the scores of this net are not finite: its training has diverged.")
    chances = probabilities(scores[np.newaxis])[0]
    return {
        "given": {"shape": list(given.pixels.shape), "pixels": packed(given.pixels)},
        "inverted": given.inverted, "size": size,
        "maps": [[[rounded(value) for value in row] for row in one] for one in maps],
        "scores": [rounded(value) for value in scores],
        "probabilities": [rounded(value) for value in chances],
        "layers": [layer(output) for output in outputs]}


def layer(output: LayerOutput) -> Dict[str, Any]:
    """A layer's windows, the shape of its output, and pictures of some of its channels."""
    values = output.values
    found: Dict[str, Any] = {
        "windows": [{"kind": each.kind, "kernel": list(each.kernel), "stride": list(each.stride)}
                    for each in output.layers],
        "shape": list(values.shape)}
    if values.ndim == 3:
        found.update(channels_of(values))
    return found


def channels_of(values: np.ndarray) -> Dict[str, Any]:
    """The channels (channels, height, width) with the largest means, as bytes.

    0 is black and 255 the largest value of the layer, so that the channels can be compared.
    """
    chosen = np.sort(np.argsort(-values.mean(axis=(1, 2)), kind="stable")[:CHANNELS])
    largest = float(values.max())
    shades = np.clip(values[chosen] * (255 / max(largest, FEWEST_SHADES)), 0, 255)
    return {"channels": chosen.tolist(), "largest": rounded(largest),
            "living": int((values > 0).any(axis=(1, 2)).sum()),
            "pixels": packed(np.rint(shades).astype(np.uint8))}


def some_images(net: TrainedNet, first: int, count: int) -> Dict[str, Any]:
    """Test images that can be given to a net.

    They are those by which it is judged, if they are on this machine. If not, they are drawn ones
    of the package; the network is never asked.

    Parameters
    ----------
    net : TrainedNet
    first, count : int
        Which ones; after the last image comes the first.
    """
    dataset = str(net.settings.dataset)
    where = net.config.environment.data_dir
    split = "train" if net.settings.validation else "test"
    try:
        if not has_image_set(dataset, split, where):
            raise InputError("they are not at hand")
        images, labels = evaluation_images(net.config)
    except InputError:  # the page says which images it shows
        dataset, (images, labels) = "sample", load_image_set("sample", "test")
    numbers = [(first + i) % len(images) for i in range(min(count, len(images)))]
    classes = DATASETS[dataset].classes
    return {"dataset": dataset, "total": len(images), "images": [
        {"number": i, "label": classes[int(labels[i])], "png": png(images[i])} for i in numbers]}


# ------------------------------------------------------------------ into JSON


def rounded(value: float) -> float:
    """Six digits: more than the page shows, and shorter."""
    return float(f"{value:.6g}")


def packed(array: np.ndarray) -> str:
    """Bytes as base64, row by row."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def png(image: np.ndarray) -> str:
    """An image (height, width, channels) as the base64 of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
