"""Trained nets that come with the package: a safetensors file each, and its reader.

``NAME.safetensors`` has the parameters of the net `NAME`, and in its metadata everything that is
needed to use them. ``python -m benchmarks.package_weights RUN`` makes such a file of a run.
"""

from nin_gluon.pretrained.weights import (
    Preprocessing,
    Weights,
    read_packaged,
    read_weights,
    write_weights,
)

__all__ = ["Preprocessing", "Weights", "read_packaged", "read_weights", "write_weights"]
