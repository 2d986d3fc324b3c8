"""The nets, by name. A new net gets a file of its own, and a line in `MODELS`."""

from typing import Any, Callable, Dict

from mxnet.gluon import nn

from nin_gluon.model_options import choose
from nin_gluon.models.cifar_nin import cifar_nin
from nin_gluon.models.cpu_optimization import optimize_for_inference, optimize_for_training
from nin_gluon.models.head import maps_and_head
from nin_gluon.models.initializer import initializer
from nin_gluon.models.mlpconv import mlpconv, mlpconv_nin
from nin_gluon.models.nin import nin, nin_block
from nin_gluon.models.trained import give_packaged_weights
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


def get_model(name: str, *, pretrained: bool = False, **options: Any) -> nn.HybridSequential:
    """Build a net by its name.

    Parameters
    ----------
    name : str
        A key of `MODELS`. Options may follow it, as on a command line: ``"nin,dropout=0.2"``.
    pretrained : bool
        Whether the net has the parameters of the trained net of that name, which comes with the
        package.
    **options
        Passed to the net, for example ``classes=10``. They take precedence over those in `name`.

    Returns
    -------
    HybridSequential

    Raises
    ------
    InputError
        The name or an option is unknown (the message lists the known ones), an option has a value
        with which the net cannot be built, or there is no such trained net.
    """
    build, chosen = choose(name, MODELS, options)
    net = build(**chosen)
    return give_packaged_weights(net, name.split(",")[0].strip()) if pretrained else net
