"""The nets, by name."""

from nin_gluon.errors import InputError
from nin_gluon.models.forms import inference_form, training_form
from nin_gluon.models.initializer import initializer
from nin_gluon.models.mlpconv import mlpconv, mlpconv_nin
from nin_gluon.models.nin import nin, nin_block

__all__ = ["MODELS", "get_model", "inference_form", "initializer", "mlpconv", "mlpconv_nin", "nin",
           "nin_block", "training_form"]

MODELS = {"nin": nin, "mlpconv_nin": mlpconv_nin}


def get_model(name, **options):
    """Build a net by its name.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    **options
        Passed on, for example ``classes=10``.

    Returns
    -------
    HybridSequential

    Raises
    ------
    InputError
        The name is unknown; the message lists the known ones.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; the models are: {', '.join(sorted(MODELS))}.")
    return MODELS[name](**options)
