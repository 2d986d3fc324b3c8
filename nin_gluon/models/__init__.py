"""The nets, by name. A new net gets a file of its own, and a line in `MODELS`."""

import inspect
from typing import Any, Callable, Dict, Mapping, Sequence

from mxnet.gluon import nn

from nin_gluon.errors import InputError
from nin_gluon.models.cifar_nin import cifar_nin
from nin_gluon.models.cpu_optimization import optimize_for_inference, optimize_for_training
from nin_gluon.models.head import maps_and_head
from nin_gluon.models.initializer import initializer
from nin_gluon.models.mlpconv import mlpconv, mlpconv_nin
from nin_gluon.models.nin import nin, nin_block
from nin_gluon.models.variants import nin_variant

__all__ = ["MODELS", "cifar_nin", "get_model", "initializer", "maps_and_head", "mlpconv",
           "mlpconv_nin", "nin", "nin_block", "nin_variant", "optimize_for_inference",
           "optimize_for_training"]

# Name -> the function that builds the net. Each of its parameters has a default, whose type is that
# of the option.
MODELS: Dict[str, Callable[..., nn.HybridSequential]] = {
    "nin": nin,
    "mlpconv_nin": mlpconv_nin,
    "cifar_nin": cifar_nin,
    "nin_variant": nin_variant,
}


def get_model(name: str, **options: Any) -> nn.HybridSequential:
    """Build a net by its name.

    Parameters
    ----------
    name : str
        A key of `MODELS`. Options may follow it, as on a command line: ``"nin,dropout=0.2"``.
    **options
        Passed to the net, for example ``classes=10``. They take precedence over those in `name`.

    Returns
    -------
    HybridSequential

    Raises
    ------
    InputError
        The name or an option is unknown (the message lists the known ones), or an option has a
        value with which the net cannot be built.
    """
    name, *words = (word.strip() for word in name.split(","))
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; the models are: {', '.join(sorted(MODELS))}.")
    known = inspect.signature(MODELS[name]).parameters
    options = {**parse_options(name, words, known), **options}
    for option in options:
        if option not in known:
            raise InputError(f"the model {name} has no option {option!r}; it has: "
                             f"{', '.join(known)}.")
    return MODELS[name](**options)


def parse_options(model: str, words: Sequence[str],
                  known: Mapping[str, inspect.Parameter]) -> Dict[str, Any]:
    """The values in words such as ``dropout=0.2``, each of the type of the option's default."""
    values = {}
    for word in words:
        option, _, text = (part.strip() for part in word.partition("="))
        kind = type(known[option].default) if option in known else str
        try:
            values[option] = kind(text)
        except ValueError:
            raise InputError(f"the model {model}'s {option} is {text!r}, which is no "
                             f"{kind.__name__}; write {option}={known[option].default}, for "
                             "example.") from None
    return values
