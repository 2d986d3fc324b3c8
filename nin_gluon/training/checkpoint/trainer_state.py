"""What a `gluon.Trainer` remembers between steps: taken out of it, checked, and put back.

Arrays go by names, numbers into a dict for JSON. ``Trainer.save_states`` and ``load_states``, in
their place, write and run a pickle of the whole optimizer.
"""

from pathlib import Path
from typing import Any, Dict, List, Tuple

import mxnet as mx
from mxnet import gluon

from nin_gluon.array_files import Entry
from nin_gluon.training.checkpoint import old_checkpoint
from nin_gluon.training.checkpoint.checks import (
    check_completeness,
    merged_counts,
    need,
    read_optimizer_arrays,
)
from nin_gluon.training.engine import OptimizerArrays

__all__ = ["KINDS", "check_numbers", "kinds_of", "put", "read", "take"]

# The arrays that MXNet's optimizers keep for each parameter, in MXNet's order.
KINDS = {"sgd": ("momentum",), "adam": ("mean", "variance")}

# What changes in MXNet's schedules while they run, and of which type it is.
SCHEDULE_NUMBERS = {"base_lr": float, "count": int, "cur_step_ind": int}

# The same of AMP's loss scaler, which has them under these names with "_" before them.
LOSS_SCALE_NUMBERS = {"loss_scale": float, "next_loss_scale": float, "unskipped": int}


def kinds_of(trainer: gluon.Trainer) -> Tuple[str, ...]:
    """The kinds of array that the trainer's optimizer keeps for each parameter.

    Raises
    ------
    NotImplementedError
        It is neither SGD nor Adam, or keeps float32 copies of the parameters.
    """
    optimizer = trainer.optimizer
    name = optimizer_name(trainer)
    if name not in KINDS or optimizer.multi_precision:
        raise NotImplementedError(f"checkpoints are for SGD and Adam without multi_precision, and "
                                  f"not for {name}")
    return () if name == "sgd" and not optimizer.momentum else KINDS[name]


def optimizer_name(trainer: gluon.Trainer) -> str:
    return type(trainer.optimizer).__name__.lower()


def take(trainer: gluon.Trainer, names: List[str]) -> Tuple[OptimizerArrays, Dict[str, Any]]:
    """The trainer's arrays and numbers; `names` are those of its parameters."""
    connect(trainer)
    kinds, optimizer, arrays = kinds_of(trainer), trainer.optimizer, {}
    for i, name in enumerate(names):
        state = trainer._updaters[0].states.get(i)  # the same on all devices
        values = state if isinstance(state, tuple) else (state,)
        if state is not None:
            arrays.update({(name, kind): array.asnumpy() for kind, array in zip(kinds, values)})
    schedule, scaler = optimizer.lr_scheduler, getattr(trainer, "_amp_loss_scaler", None)
    numbers = {
        "name": optimizer_name(trainer),
        "num_update": optimizer.num_update,
        "begin_num_update": optimizer.begin_num_update,
        "update_counts": merged_counts(optimizer._all_index_update_counts, names),
        "schedule": schedule and {"name": type(schedule).__name__,
                                  **numbers_in(schedule, SCHEDULE_NUMBERS)},
        "loss_scale": scaler and {name: kind(getattr(scaler, "_" + name))
                                  for name, kind in LOSS_SCALE_NUMBERS.items()},
    }
    return arrays, numbers


def numbers_in(thing: Any, names: Dict[str, type]) -> Dict[str, Any]:
    return {name: kind(getattr(thing, name)) for name, kind in names.items()
            if hasattr(thing, name)}


def connect(trainer: gluon.Trainer) -> None:
    """Create the trainer's kvstore if that is still to be done, as MXNet's own functions do."""
    if not trainer._kv_initialized:
        trainer._init_kvstore()
    if trainer._params_to_init:
        trainer._init_params()
    if trainer._update_on_kvstore:
        raise NotImplementedError("checkpoints are for trainers with update_on_kvstore=False")


# ------------------------------------------------------------------ reading and checking


def read(folder: Path, state: Dict[str, Any], trainer: gluon.Trainer, names: List[str],
         expected: Dict[Tuple[str, str], Entry]) -> Tuple[OptimizerArrays, Dict[str, Any]]:
    """The checked arrays and numbers of the trainer in a checkpoint's folder.

    Parameters
    ----------
    folder : Path
    state : dict
        Of its ``state.json``.
    trainer : gluon.Trainer
    names : list of str
        Of its parameters.
    expected : dict
        The arrays that there may be.

    Raises
    ------
    ValueError
        They are damaged, or those of another optimizer.
    """
    kinds = kinds_of(trainer)
    if state["format"] == 1:
        arrays, numbers = old_checkpoint.read_trainer(folder / "trainer.states", expected, names,
                                                      kinds)
    else:
        arrays = read_optimizer_arrays(folder / "optimizer.safetensors", expected)
        numbers = state["optimizer"]
    check_numbers(numbers, trainer, names)
    check_completeness(arrays, numbers["update_counts"], kinds)
    return arrays, numbers


def check_numbers(numbers: Any, trainer: gluon.Trainer, names: List[str]) -> None:
    """Raise ValueError unless these are numbers of this trainer, as `take` gives them."""
    need(numbers, {"name": str, "num_update": int, "begin_num_update": int, "update_counts": dict,
                   "schedule": (dict, type(None)), "loss_scale": (dict, type(None))}, "optimizer")
    if numbers["name"] != optimizer_name(trainer):
        raise ValueError(f"it is of another optimizer than {optimizer_name(trainer)}")
    counts = numbers["update_counts"]
    if not set(counts) <= set(names):
        raise ValueError("update_counts names other parameters than the net's")
    need(counts, dict.fromkeys(counts, int), "update_counts")
    schedule, mine = numbers["schedule"], trainer.optimizer.lr_scheduler
    if (schedule is None) != (mine is None):
        raise ValueError("it was trained with another schedule of the learning rate")
    if mine is not None:
        need(schedule, {"name": str, **{name: kind for name, kind in SCHEDULE_NUMBERS.items()
                                        if hasattr(mine, name)}}, "schedule")
        if schedule["name"] != type(mine).__name__:
            raise ValueError("it was trained with another schedule of the learning rate")
        if schedule.get("cur_step_ind", 0) > len(getattr(mine, "step", ())):
            raise ValueError("cur_step_ind is beyond the schedule's end")
    if numbers["loss_scale"] is not None:
        need(numbers["loss_scale"], LOSS_SCALE_NUMBERS, "loss_scale")
        if not (numbers["loss_scale"]["loss_scale"] and numbers["loss_scale"]["next_loss_scale"]):
            raise ValueError("loss_scale is 0")


# ------------------------------------------------------------------ putting back


def put(trainer: gluon.Trainer, names: List[str], arrays: OptimizerArrays,
        numbers: Dict[str, Any]) -> None:
    """Give the trainer what `take` took, on all its devices; it has been checked."""
    connect(trainer)
    kinds, optimizer = kinds_of(trainer), trainer.optimizer
    optimizer.num_update = numbers["num_update"]
    optimizer.begin_num_update = numbers["begin_num_update"]
    counts = {names.index(name): count for name, count in numbers["update_counts"].items()}
    devices = {0, *(ctx.device_id for ctx in trainer._contexts)}
    optimizer._all_index_update_counts = {device: dict(counts) for device in devices}
    optimizer._index_update_count = optimizer._all_index_update_counts[0]
    for updater, ctx in zip(trainer._updaters, trainer._contexts):
        updater.states = {}
        for i, name in enumerate(names):
            state = [arrays[name, kind] for kind in kinds if (name, kind) in arrays]
            if state:
                on_device = tuple(mx.nd.array(value, ctx, value.dtype) for value in state)
                updater.states[i] = on_device if len(state) > 1 else on_device[0]
        updater.states_synced = dict.fromkeys(updater.states, True)
    for name in set(SCHEDULE_NUMBERS) & set(numbers["schedule"] or ()):
        setattr(optimizer.lr_scheduler, name, numbers["schedule"][name])
    scaler = getattr(trainer, "_amp_loss_scaler", None)
    if scaler is not None and numbers["loss_scale"] is not None:
        for name in LOSS_SCALE_NUMBERS:
            setattr(scaler, "_" + name, numbers["loss_scale"][name])
