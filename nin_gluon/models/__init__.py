"""The nets, by name."""

import inspect

from nin_gluon.errors import InputError
from nin_gluon.models.cifar_nin import cifar_nin
from nin_gluon.models.cpu_optimization import inference_form, training_form
from nin_gluon.models.head import maps_and_head
from nin_gluon.models.initializer import initializer
from nin_gluon.models.mlpconv import mlpconv, mlpconv_nin
from nin_gluon.models.nin import nin, nin_block
from nin_gluon.models.variants import nin_variant

__all__ = ["MODELS", "cifar_nin", "get_model", "inference_form", "initializer", "maps_and_head",
           "mlpconv", "mlpconv_nin", "nin", "nin_block", "nin_variant", "training_form"]

MODELS = {"nin": nin, "mlpconv_nin": mlpconv_nin, "cifar_nin": cifar_nin,
          "nin_variant": nin_variant}


def get_model(name, **options):
    """Build a net by its name.

    Parameters
    ----------
    name : str
        A key of `MODELS`; options may follow it, for commands: ``"nin,dropout=0.2"``.
    **options
        Passed on, for example ``classes=10``.

    Returns
    -------
    HybridSequential

    Raises
    ------
    InputError
        The name or an option is unknown (the message lists the known ones), or the net cannot be
        built with an option's value.
    """
    name, *words = (word.strip() for word in name.split(","))
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; the models are: {', '.join(sorted(MODELS))}.")
    known = inspect.signature(MODELS[name]).parameters
    given = {}
    for word in words:
        option, _, text = (part.strip() for part in word.partition("="))
        # An option's usual value tells its type.
        kind = type(known[option].default) if option in known else str
        try:
            given[option] = kind(text)
        except ValueError:
            raise InputError(f"the model {name}'s {option} is {text!r}, which is no {kind.__name__}"
                             f"; write {option}={known[option].default}, say.") from None
    options = {**given, **options}
    for option in options:
        if option not in known:
            raise InputError(f"the model {name} has no option {option!r}; it has: "
                             f"{', '.join(known)}.")
    return MODELS[name](**options)
