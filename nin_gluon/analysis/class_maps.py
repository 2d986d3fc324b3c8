"""The maps that a trained net's last block makes, one for each class, and the scores from them."""

from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from nin_gluon.analysis.trained_net import TrainedNet
from nin_gluon.runtime import describe_machine

__all__ = ["ClassMaps", "maps_of", "report"]


@dataclass(frozen=True)
class ClassMaps:
    """The maps and scores of some images."""

    maps: np.ndarray  # (n, classes, map height, map width), float32
    scores: np.ndarray  # (n, classes), float32
    size: Tuple[int, int]  # (height, width) in pixels of the images that the net was given


def maps_of(net: TrainedNet, images: np.ndarray) -> ClassMaps:
    """The maps and scores of images (n, height, width, channels), uint8; n is 1 or more."""
    maps, scores = (np.concatenate(parts) for parts in zip(*net.respond(images)))
    return ClassMaps(maps, scores, net.image_size)


def report(net: TrainedNet, found: ClassMaps, images: Sequence[str],
           labels: Optional[np.ndarray]) -> Dict[str, Any]:
    """The maps' geometry and the images' scores, JSON-ready.

    Parameters
    ----------
    net : TrainedNet
    found : ClassMaps
        Of n images.
    images : sequence of str, (n,)
        What the images are called.
    labels : numpy.ndarray, (n,), integers, or None
        The true classes, where they are known.
    """
    names = net.classes
    return {
        "parameters": net.source, "machine": describe_machine(net.settings.engine),
        "dataset": net.settings.dataset,
        "image_size": list(found.size), "map_size": list(found.maps.shape[2:]),
        "pixels_a_value": [step for _, step, _ in net.field],
        "pixels_seen": [seen for _, _, seen in net.field], "classes": list(names),
        "images": [{
            "image": image,
            "label": None if labels is None else names[int(labels[i])],
            "predicted": names[int(found.scores[i].argmax())],
            "scores": {name: float(score) for name, score in zip(names, found.scores[i])},
        } for i, image in enumerate(images)],
    }
