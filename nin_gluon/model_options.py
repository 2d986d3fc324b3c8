"""The options of the nets: what they may be, and how a command line writes them.

No framework is imported here: the Gluon and the PyTorch nets share this.
"""

import inspect
import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from nin_gluon.errors import InputError

__all__ = ["HEADS", "check_inner", "check_last", "check_options", "choose", "last_channels"]

HEADS = ("gap", "fc", "fc_dropout")

# A run folder from elsewhere may ask for anything. These keep its net below a few GB.
MAX_CLASSES = 10**4
MAX_INNER = 100
MAX_INNER_KERNEL = 99
MAX_BIAS = 1000


def choose(name: str, models: Mapping[str, Callable[..., Any]],
           options: Mapping[str, Any]) -> Tuple[Callable[..., Any], Dict[str, Any]]:
    """The function that builds a net, and the options to call it with.

    Parameters
    ----------
    name : str
        A key of `models`. Options may follow it, as on a command line: ``"nin,dropout=0.2"``.
    models : dict
        Name -> function. Each of its parameters has a default, whose type is that of the option.
    options : dict
        These take precedence over those in `name`.

    Raises
    ------
    InputError
        The name or an option is unknown (the message lists the known ones).
    """
    name, *words = (word.strip() for word in name.split(","))
    if name not in models:
        raise InputError(f"unknown model {name!r}; the models are: {', '.join(sorted(models))}.")
    # Those after a star are not for the command line: training would draw new parameters.
    known = {option: parameter for option, parameter in
             inspect.signature(models[name]).parameters.items()
             if parameter.kind is not inspect.Parameter.KEYWORD_ONLY}
    chosen = {**parse_options(name, words, known), **options}
    for option in chosen:
        if option not in known:
            raise InputError(f"the model {name} has no option {option!r}; it has: "
                             f"{', '.join(known)}.")
    return models[name], chosen


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


def check_options(classes: Any, dropout: Any, head: Any) -> None:
    """Raise `InputError` unless a net can be built with these options."""
    if not isinstance(classes, int) or not 1 <= classes <= MAX_CLASSES:
        raise InputError(f"classes is {classes!r}; it is a whole number from 1 to {MAX_CLASSES}.")
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout!r}; it is a share from 0 to below 1.")
    if head not in HEADS:
        raise InputError(f"unknown head {head!r}; the heads are: {', '.join(HEADS)}.")


def check_inner(inner: int, inner_kernel: int) -> None:
    """Raise `InputError` unless the blocks of a variant can have these convolutions inside."""
    if (not 0 <= inner <= MAX_INNER or not 1 <= inner_kernel <= MAX_INNER_KERNEL
            or inner_kernel % 2 == 0):
        raise InputError(f"inner={inner} convolutions of inner_kernel={inner_kernel} cannot be "
                         f"built; use 0 to {MAX_INNER}, of an odd size up to {MAX_INNER_KERNEL}.")


def check_last(last_relu: int, last_bias: float) -> None:
    """Raise `InputError` unless the last convolution of a variant can be like this."""
    if last_relu not in (0, 1):
        raise InputError(f"last_relu is {last_relu}; it is 1, or 0 to leave the last ReLU out.")
    if not -MAX_BIAS <= last_bias <= MAX_BIAS:  # not so for NaN either
        raise InputError(f"last_bias is {last_bias}; it is a number from -{MAX_BIAS} to "
                         f"{MAX_BIAS}.")


def last_channels(classes: int, inner: int, reduce: str) -> List[int]:
    """Output channels of the last block's convolutions; `InputError` if `reduce` does not fit."""
    if not reduce:
        return [classes] * (1 + inner)
    if not re.fullmatch(r"[1-9]\d{0,3}(-[1-9]\d{0,3})*", reduce):
        raise InputError(f"reduce={reduce!r} is no list of channels such as 96-96-10.")
    channels = [int(number) for number in reduce.split("-")]
    if channels[-1] != classes or len(channels) != 1 + inner:
        raise InputError(f"reduce={reduce} should name {1 + inner} numbers of channels, the last "
                         f"of them the {classes} classes.")
    return channels
