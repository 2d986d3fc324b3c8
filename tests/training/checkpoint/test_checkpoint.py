"""Checkpoints: they bring back everything, appear whole, and say when they cannot be read."""

import errno
import json
import os
import shutil

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.contrib import amp
from safetensors.numpy import load_file

from nin_gluon.array_files import write_safetensors
from nin_gluon.errors import InputError, WriteError
from nin_gluon.training import checkpoint
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.loop import Tally
from tests.training.small_nets import OPTIMIZERS, engine, net_and_trainer, save, train_steps, values


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    """A run folder with a checkpoint after three steps, and the parameters after seven."""
    folder = tmp_path_factory.mktemp("saved")
    mx.random.seed(1)
    net, trainer = net_and_trainer()
    train_steps(net, trainer, 0, 3)
    history = [EpochRecord(1, 0.1, 0.2, 0.3, 0.4)]
    tally = Tally(2, step=3, loss_sum=1 / 3, correct=5, images=6, seconds=7.5)
    checkpoint.save(folder, engine(net, trainer), tally, history, np.random.get_state())
    return folder, history, tally, np.random.rand(4), train_steps(net, trainer, 3, 7)


@pytest.fixture
def saved(saved_once, tmp_path):
    """A copy for the test alone."""
    folder, *rest = saved_once
    return (shutil.copytree(folder, tmp_path, dirs_exist_ok=True), *rest)


def test_going_on_is_as_never_having_stopped(saved):
    run, history, tally, numbers, parameters = saved
    np.random.seed(99)
    net, trainer = net_and_trainer()
    loaded, loaded_history = checkpoint.load(checkpoint.latest(run), engine(net, trainer))
    assert loaded_history == history
    assert loaded.state() == tally.state()
    np.testing.assert_array_equal(np.random.rand(4), numbers)
    for mine, wanted in zip(train_steps(net, trainer, 3, 7), parameters):
        np.testing.assert_array_equal(mine, wanted)


def test_a_users_own_copies_are_left_alone(saved):
    """Of checkpoints and of models, whose names only begin like those that are removed."""
    run, history, tally, _, _ = saved
    newest = checkpoint.latest(run)
    mine = [shutil.copytree(newest, newest.with_name(newest.name + ".bak")),
            *(run / f"model-{name}" for name in ("best.params", "0001.params.bak",
                                                 "final-0000.params"))]
    for path in mine[1:]:
        path.write_bytes(b"mine")
    (run / "model-0001.params").write_bytes(b"an earlier epoch's")
    assert checkpoint.complete(run) == [newest]
    net, trainer = net_and_trainer()
    net.hybridize()
    train_steps(net, trainer, 0, 1)
    ours = engine(net, trainer)
    checkpoint.save(run, ours, Tally(3), history, np.random.get_state())
    ours.export(run, 2)
    assert all(path.exists() for path in mine)
    assert not newest.exists() and not (run / "model-0001.params").exists()


def test_a_checkpoint_is_on_the_disk_before_the_one_before_is_removed(saved, monkeypatch):
    run, history, tally, _, _ = saved
    before, after, done = checkpoint.latest(run), run / "checkpoint/epoch-0003-step-000000", {}

    def fsync(descriptor):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        done[name] = before.exists(), after.exists()

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint.save(run, engine(*net_and_trainer()), Tally(3), history, np.random.get_state())
    within = ("net.safetensors", "optimizer.safetensors", "state.json", after.name)
    assert done == {**dict.fromkeys(within, (True, False)), "checkpoint": (True, True)}
    assert not before.exists()


def test_a_file_system_that_cannot_write_folders_to_the_disk_is_no_obstacle(saved, monkeypatch):
    run, history, *_ = saved

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint.save(run, engine(*net_and_trainer()), Tally(3), history, np.random.get_state())
    assert checkpoint.latest(run).name == "epoch-0003-step-000000"


def test_parameters_that_are_not_finite_are_refused(saved):
    run, *_ = saved
    path = checkpoint.latest(run) / "net.safetensors"
    arrays = load_file(path)
    name = next(iter(arrays))
    arrays[name] = np.full_like(arrays[name], np.nan)
    write_safetensors(path, arrays, {})
    with pytest.raises(InputError, match=f"cannot be read .{name} is not finite"):
        checkpoint.load(path.parent, engine(*net_and_trainer()))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("done", [0, 1, 4])
def test_every_optimizer_and_schedule_goes_on(tmp_path, optimizer, done):
    net, trainer = net_and_trainer(optimizer=optimizer)
    train_steps(net, trainer, 0, done)
    path = save(tmp_path, net, trainer)
    wanted, rate = train_steps(net, trainer, done, 9), trainer.learning_rate
    net, trainer = net_and_trainer(optimizer=optimizer)
    checkpoint.load(path, engine(net, trainer))
    for mine, expected in zip(train_steps(net, trainer, done, 9), wanted):
        np.testing.assert_array_equal(mine, expected)
    assert trainer.learning_rate == rate


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_another_number_of_devices_goes_on(tmp_path, optimizer, first):
    """From one to two and back; both devices get the same images, so the mean is that of one."""
    devices = [mx.cpu(0), mx.cpu(1)]
    net, trainer = net_and_trainer(optimizer=optimizer, ctx=devices[:first])
    train_steps(net, trainer, 0, 3)
    path = save(tmp_path, net, trainer)
    other = devices[: 3 - first]
    net, trainer = net_and_trainer(optimizer=optimizer, ctx=other)
    checkpoint.load(path, engine(net, trainer))
    (tmp_path / "again").mkdir()
    again = save(tmp_path / "again", net, trainer)
    for name in ("net.safetensors", "optimizer.safetensors", "state.json"):
        assert (again / name).read_bytes() == (path / name).read_bytes()
    for parameter in net.collect_params().values():
        copies = [data.asnumpy() for data in parameter.list_data()]
        assert len(copies) == len(other)
        assert all((copy == copies[0]).all() for copy in copies)
    train_steps(net, trainer, 3, 5)
    counts = trainer.optimizer._all_index_update_counts
    assert all(counts[ctx.device_id] == {0: 5, 1: 5} for ctx in other)
    first_device, *others = ([data.asnumpy() for data in parameters] for parameters in zip(
        *(p.list_data() for p in net.collect_params().values())))
    for copy in others:
        for mine, theirs in zip(first_device, copy):
            np.testing.assert_array_equal(mine, theirs)


def test_the_files_are_what_the_safetensors_package_and_json_read(saved):
    path = checkpoint.latest(saved[0])
    net, trainer = net_and_trainer()
    checkpoint.load(path, engine(net, trainer))
    arrays = load_file(path / "net.safetensors")
    assert sorted(arrays) == ["000.weight", "001.bias"]
    for array, parameter in zip((arrays[n] for n in sorted(arrays)), values(net)):
        np.testing.assert_array_equal(array, parameter)
    momenta = load_file(path / "optimizer.safetensors")
    assert sorted(momenta) == ["000.weight.momentum", "001.bias.momentum"]
    for i, parameter in enumerate(trainer._params):
        name = {"weight": "000.weight", "bias": "001.bias"}[parameter.name.rsplit("_", 1)[1]]
        np.testing.assert_array_equal(momenta[f"{name}.momentum"],
                                      trainer._updaters[0].states[i].asnumpy())
    state = json.loads((path / "state.json").read_text())
    assert state["format"] == 2
    assert state["optimizer"]["num_update"] == 3
    assert state["optimizer"]["update_counts"] == {"000.weight": 3, "001.bias": 3}


def test_a_diverging_loss_and_a_clock_set_back_can_be_saved(tmp_path):
    net, trainer = net_and_trainer()
    tally = Tally(1, 2, 1e300, 0, 4, -3600.0)
    path = save(tmp_path, net, trainer, tally)
    assert checkpoint.load(path, engine(net, trainer))[0].state() == tally.state()


def test_the_scale_of_the_loss_is_kept(tmp_path):
    """As with float16, which needs a GPU; the scaler is the same here."""
    net, trainer = net_and_trainer()
    trainer._amp_loss_scaler = amp.loss_scaler.LossScaler()
    trainer._amp_loss_scaler._next_loss_scale = 2.0**10
    train_steps(net, trainer, 0, 3)
    path = save(tmp_path, net, trainer)
    net, trainer = net_and_trainer()
    trainer._amp_loss_scaler = amp.loss_scaler.LossScaler()
    checkpoint.load(path, engine(net, trainer))
    assert trainer._amp_loss_scaler.loss_scale == 2.0**10
    assert trainer._amp_loss_scaler._unskipped == 3


def test_only_the_newest_is_kept_and_nothing_half_written(saved):
    run = saved[0]
    net, trainer = net_and_trainer()
    path = checkpoint.save(run, engine(net, trainer), Tally(3), [], np.random.get_state())
    assert path == checkpoint.latest(run)
    assert [p.name for p in (run / "checkpoint").iterdir()] == ["epoch-0003-step-000000"]


def test_an_interrupted_save_leaves_the_one_before(saved, monkeypatch):
    run = saved[0]
    before = checkpoint.latest(run)
    net, trainer = net_and_trainer()

    def full(path, arrays):
        if path.name.startswith("optimizer"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write_safetensors(path, arrays)

    monkeypatch.setattr("nin_gluon.training.checkpoint.checkpoint.write_safetensors", full)
    full_disk = "epoch-0003-step-000000 cannot be written: the disk is full"
    with pytest.raises(WriteError, match=full_disk):
        checkpoint.save(run, engine(net, trainer), Tally(3), [], np.random.get_state())
    assert checkpoint.latest(run) == before
    assert len(list((run / "checkpoint").iterdir())) == 1


@pytest.mark.parametrize("name", ["net.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_a_damaged_checkpoint_is_named(saved, name, damage):
    path = checkpoint.latest(saved[0])
    content = (path / name).read_bytes()
    (path / name).unlink()
    if damage != "missing":
        (path / name).write_bytes(content[:50] if damage == "truncated" else b"")
    with pytest.raises(InputError, match="epoch-0002-step-000003 cannot be read"):
        checkpoint.load(path, engine(*net_and_trainer()))


@pytest.mark.parametrize("name", ["net.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "proc"])
def test_what_is_no_ordinary_file_is_named(saved, name, kind):
    path = checkpoint.latest(saved[0]) / name
    path.unlink()
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path),
            "device": lambda: path.symlink_to("/dev/zero"), "loop": lambda: path.symlink_to(path),
            "proc": lambda: path.symlink_to("/proc/kmsg")}
    make[kind]()
    said = (f"{name}:? (is a (folder|pipe|device), not a file|it is empty|is empty|is missing|"
            r"cannot be read \(its symbolic links go round in a circle\))")
    with pytest.raises(InputError, match=said):
        checkpoint.load(path.parent, engine(*net_and_trainer()))


def edited(path, change):
    """The checkpoint, after `change` has edited the value of its state.json."""
    state = json.loads((path / "state.json").read_text())
    change(state)
    (path / "state.json").write_text(json.dumps(state))
    return path


@pytest.mark.parametrize("change", [
    lambda state: state.pop("tally"),
    lambda state: state.update(more=1),
    lambda state: state.update(format=3),
    lambda state: state.update(format=True),
    lambda state: state.update(history={}),
    lambda state: state.update(history=[]),  # the tally is of epoch 2
    lambda state: state["history"][0].update(epoch=2),
    lambda state: state["history"][0].update(loss=float("nan")),
    lambda state: state["history"][0].update(loss="0.5"),
    lambda state: state["tally"].update(step=2.5),
    lambda state: state["tally"].update(images=-1),
    lambda state: state["tally"].update(images=10**18),
    lambda state: state["tally"].update(images=True),
    lambda state: state["tally"].update(more=1),
    lambda state: state["numpy_random"].pop(),
    lambda state: state["numpy_random"][1].pop(),
    lambda state: state["numpy_random"][1].__setitem__(5, 2**32),
    lambda state: state["numpy_random"].__setitem__(0, "PCG64"),
    lambda state: state["numpy_random"].__setitem__(2, 625),
    lambda state: state["optimizer"].update(name="adam"),
    lambda state: state["optimizer"].update(schedule=None),
    lambda state: state["optimizer"].update(num_update=-1),
    lambda state: state["optimizer"].update(num_update="3"),
    lambda state: state["optimizer"]["schedule"].update(name="PolyScheduler"),
    lambda state: state["optimizer"]["schedule"].update(base_lr=None),
    lambda state: state["optimizer"]["update_counts"].update({"002.weight": 1}),
    lambda state: state["optimizer"]["update_counts"].pop("000.weight"),
    lambda state: state["optimizer"].update(loss_scale={"loss_scale": 0}),
    lambda state: state["optimizer"].update(
        loss_scale={"loss_scale": 0, "next_loss_scale": 1, "unskipped": 0}),
])
def test_a_wrong_state_is_refused_and_changes_nothing(saved, change):
    path = edited(checkpoint.latest(saved[0]), change)
    net, trainer = net_and_trainer()
    before, random = values(net), np.random.get_state()[1].tolist()
    with pytest.raises(InputError, match="state.json|optimizer|update_counts|schedule|loss_scale"):
        checkpoint.load(path, engine(net, trainer))
    for mine, expected in zip(values(net), before):
        np.testing.assert_array_equal(mine, expected)
    assert np.random.get_state()[1].tolist() == random
    assert not trainer._updaters[0].states


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 1_000_000, "nonsense", '"\ud800"', "[]", "1",
                                  '{"format": 2, "format": 1}', '{"tally": 1e999}', "\x00"])
def test_odd_json_is_refused(saved, text):
    path = checkpoint.latest(saved[0])
    (path / "state.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match="state.json(: | is damaged: it is not UTF-8)"):
        checkpoint.load(path, engine(*net_and_trainer()))


def test_another_optimizers_checkpoint_is_refused(saved):
    for other in ("adam", "plain sgd", "steps"):
        with pytest.raises(InputError, match="cannot be read"):
            checkpoint.load(checkpoint.latest(saved[0]), engine(*net_and_trainer(optimizer=other)))


def test_what_a_killed_process_left_is_cleared(saved):
    run = saved[0]
    (run / "checkpoint" / ".saving-dead").mkdir()
    checkpoint.save(run, engine(*net_and_trainer()), Tally(3), [], np.random.get_state())
    assert [p.name for p in (run / "checkpoint").iterdir()] == ["epoch-0003-step-000000"]


def test_another_nets_checkpoint_is_refused(saved):
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.load(checkpoint.latest(saved[0]), engine(*net_and_trainer(units=4)))


def test_a_run_without_checkpoint_says_so(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.latest(tmp_path)


def test_dropout_depends_on_seed_epoch_step_and_worker_alone():
    seeded = engine(*net_and_trainer())

    def mask(*key):
        seeded.seed_step(*key)
        with autograd.record():
            return nd.Dropout(nd.ones(100), p=0.5).asnumpy().tolist()

    first = mask(0, 1, 1)
    others = [mask(*key) for key in ((1, 1, 1), (0, 2, 1), (0, 1, 2), (0, 1, 1, 1), (0, 1, 1, 2))]
    assert first not in others and others[-1] != others[-2]
    assert mask(0, 1, 1) == first
