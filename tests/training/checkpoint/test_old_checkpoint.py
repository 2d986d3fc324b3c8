"""Checkpoints of version 0.1 still resume, and what is in their pickles is never run."""

import builtins
import hashlib
import io
import json
import logging
import os
import pickle
import pickletools
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from safetensors.numpy import load_file

from nin_gluon import InputError
from nin_gluon.runtime import describe_machine
from nin_gluon.training import checkpoint
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.inert_pickle import TRAINER, read_pickle
from nin_gluon.training.loop import Tally
from tests.fuzz.cases import survives
from tests.slim_nin import small_sample
from tests.training.small_nets import OPTIMIZERS, engine, net_and_trainer, train_steps, values

FIXTURES = Path(__file__).parents[2] / "fixtures"


def save_old(run, net, trainer):
    """A checkpoint as version 0.1 wrote it."""
    path = run / "checkpoint" / "epoch-0002-step-000003"
    path.mkdir(parents=True)
    net.save_parameters(str(path / "net.params"))
    trainer.save_states(str(path / "trainer.states"))
    name, key, *rest = np.random.get_state()
    state = {"tally": Tally(2, 3, 1.5, 5, 6, 7.5).state(),
             "history": [asdict(EpochRecord(1, 0.1, 0.2, 0.3, 0.4))],
             "numpy_random": [name, key.tolist(), *rest]}
    (path / "state.json").write_text(json.dumps(state))
    return path


@pytest.fixture(scope="module")
def old_once(tmp_path_factory):
    net, trainer = net_and_trainer()
    train_steps(net, trainer, 0, 3)
    return save_old(tmp_path_factory.mktemp("old"), net, trainer)


@pytest.fixture
def old(old_once, tmp_path):
    """An old checkpoint for the test alone."""
    return shutil.copytree(old_once, tmp_path / "checkpoint" / old_once.name)


# ------------------------------------------------------------------ they resume


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("done", [0, 1, 4])
def test_old_checkpoints_go_on_and_are_converted(tmp_path, optimizer, done, caplog):
    net, trainer = net_and_trainer(optimizer=optimizer)
    train_steps(net, trainer, 0, done)
    path = save_old(tmp_path, net, trainer)
    wanted = train_steps(net, trainer, done, 9)
    net, trainer = net_and_trainer(optimizer=optimizer)
    tally, history = checkpoint.load(path, engine(net, trainer))
    assert tally.state() == Tally(2, 3, 1.5, 5, 6, 7.5).state()
    assert history == [EpochRecord(1, 0.1, 0.2, 0.3, 0.4)]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "has the format of version 0.1" in caplog.text
    tally.step += 1
    new = checkpoint.save(tmp_path, engine(net, trainer), tally, history, np.random.get_state())
    for mine, expected in zip(train_steps(net, trainer, done, 9), wanted):
        np.testing.assert_array_equal(mine, expected)
    net, trainer = net_and_trainer(optimizer=optimizer)
    checkpoint.load(new, engine(net, trainer))
    for mine, expected in zip(train_steps(net, trainer, done, 9), wanted):
        np.testing.assert_array_equal(mine, expected)
    assert len(caplog.records) == 1
    assert sorted(p.name for p in (tmp_path / "checkpoint").rglob("*.*")) == [
        "net.safetensors", "optimizer.safetensors", "state.json"]


# Ends both runs, without pictures.
END = """
import sys
from tests import slim_nin
slim_nin.no_pictures()
from nin_gluon import train
for run in sys.argv[1:]:
    assert train.main(["--resume", run, "--ctx", "cpu", "--no-progress"]) == 0
    print("end of", run)
    print("end of", run, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """{name: (run folder, its stdout, its stderr)} of the runs of version 0.1 that are at hand."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURES / "old-runs.tar.xz") as archive:
        archive.extractall(folder)
    runs = {name: folder / f"old-{name}" for name in ("adam", "sgd")}
    done = subprocess.run([sys.executable, "-c", END, *map(str, runs.values())],
                          env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = zip(*(re.split(r"end of .*\n", text) for text in (done.stdout, done.stderr)))
    return {name: (run, *texts) for (name, run), texts in zip(runs.items(), said)}


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_run_of_version_0_1_ends_as_it_did_there(ended, name):
    run, out, error = ended[name]
    expected = json.loads((FIXTURES / "old-runs.json").read_text())
    assert error.count("has the format of version 0.1") == 1
    lines = [line.split(", time")[0] for line in out.splitlines()[:3]]
    newest = checkpoint.latest(run)
    assert newest.name == "epoch-0003-step-000000"
    arrays = load_file(newest / "net.safetensors")
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays)))
    # The kernels, and with them the last bits, depend on the processor.
    if describe_machine()["cpu_features"] == expected["cpu_features"]:
        assert lines == expected[name]["lines"]
        assert digest.hexdigest() == expected[name]["sha256"]
    else:
        assert lines[:2] == expected[name]["lines"][:2]
        assert lines[2][:15] == expected[name]["lines"][2][:15]


# ------------------------------------------------------------------ nothing runs


class Evil:
    """Pickles into a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def stack_global(module, name):
    return short(module) + short(name) + b"\x93"


NDARRAY = stack_global("mxnet.ndarray.ndarray", "NDArray")
SYSTEM = stack_global("os", "system")
COMMAND = short("touch ran")

# Programs that run `touch ran`, or come near it, in one or another way.
PROGRAMS = {
    "reduce": SYSTEM + COMMAND + b"\x85R.",
    "reduce in 0": b"cos\nsystem\n" + COMMAND + b"\x85R.",
    "reduce of a text": short("os.system") + COMMAND + b"\x85R.",
    "inst": b"(" + COMMAND + b"ios\nsystem\n.",
    "obj": b"(" + SYSTEM + COMMAND + b"o.",
    "newobj": SYSTEM + COMMAND + b"\x85\x81.",
    "newobj of a class": stack_global("subprocess", "Popen") + COMMAND + b"\x85\x81.",
    "newobj_ex": stack_global("subprocess", "Popen") + b")" + b"}" + b"\x92.",
    "build": NDARRAY + b")R" + b"}" + short("__setstate__") + SYSTEM + b"s" + b"b"
             + COMMAND + b"b.",
    "build of a class": NDARRAY + b"}" + short("__init__") + SYSTEM + b"s" + b"b.",
    "build slots": NDARRAY + b")R" + b"N}" + short("name") + SYSTEM + b"s\x86b.",
    "build of a dict": b"}}" + short("__class__") + SYSTEM + b"sb.",
    "persistent": b"Pos.system\n.",
    "persistent on the stack": COMMAND + b"Q.",
    "extension": b"\x82\x01.",
    "getattr": stack_global("builtins", "getattr") + NDARRAY + short("__init__") + b"\x86R.",
    "a dotted name": stack_global("mxnet.ndarray.ndarray", "NDArray.__init__.__globals__")
                     + b")R.",
    "a dotted module": stack_global("mxnet.ndarray.ndarray.os", "system") + COMMAND + b"\x85R.",
    "the module's imports": stack_global("mxnet.optimizer.optimizer", "os") + b")R.",
    "name of a call": NDARRAY + b"N\x85R" + short("NDArray") + b"\x93.",
    "name from bytes": b"C\x02osC\x06system\x93" + COMMAND + b"\x85R.",
    "import": stack_global("builtins", "__import__") + short("antigravity") + b"\x85R.",
    "eval": stack_global("builtins", "eval") + short("open('ran', 'w')") + b"\x85R.",
    "copyreg": stack_global("copyreg", "_reconstructor") + SYSTEM + b"NN\x87R.",
    "codecs": stack_global("_codecs", "encode") + COMMAND + b"\x85R.",
    "reduce of an instance": NDARRAY + b")R" + b")R.",
    "bytearray of a number": stack_global("builtins", "bytearray") + b"J\xff\xff\xff\x7f\x85R.",
}


@pytest.fixture
def refused(old, tmp_path, monkeypatch):
    """Function of a trainer.states: it is refused, and nothing in it nor anything else was called.
    """

    def check(content):
        (old / "trainer.states").write_bytes(content)
        net, trainer = net_and_trainer()
        before, called = values(net), []
        monkeypatch.chdir(tmp_path)
        for module, name in ((os, "system"), (subprocess, "Popen"), (builtins, "eval"),
                             (builtins, "__import__"), (pickle, "loads"), (pickle, "load"),
                             (pickle, "Unpickler")):
            monkeypatch.setattr(module, name, spy(getattr(module, name), called, name))
        with pytest.raises(InputError, match=r"trainer.states: ") as caught:
            checkpoint.load(old, engine(net, trainer))
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
        for mine, expected in zip(values(net), before):
            np.testing.assert_array_equal(mine, expected)
        assert not called and not Path("ran").exists()

    return check


def spy(function, called, name):
    def call(*args, **kwargs):
        if name != "__import__" or args[0] == "antigravity":
            called.append(name)
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_in_a_pickle_runs(refused, program):
    refused(b"\x80\x04" + PROGRAMS[program])


def test_the_programs_would_run_in_pickle(tmp_path, monkeypatch):
    """So the test above has something to find."""
    monkeypatch.chdir(tmp_path)
    for name in ("reduce", "reduce in 0", "inst", "obj"):
        pickle.loads(b"\x80\x04" + PROGRAMS[name])
        Path("ran").unlink()


@pytest.mark.parametrize("file", ["net.params", "trainer.states", "state.json"])
def test_the_commands_run_nothing_and_end_with_2(tmp_path, monkeypatch, capsys, file):
    from nin_gluon import confidence, train

    small_sample(setitem=monkeypatch.setitem)
    with tarfile.open(FIXTURES / "old-runs.tar.xz") as archive:
        archive.extractall(tmp_path)
    run = tmp_path / "old-sgd"
    path = checkpoint.latest(run)
    monkeypatch.chdir(tmp_path)
    evil = b"\x80\x04" + PROGRAMS["reduce"]
    (path / file).write_bytes(evil)
    assert train.main(["--resume", str(run), "--ctx", "cpu"]) == 2
    assert re.search(f"{file}(: | is damaged: it is not UTF-8)", capsys.readouterr().err)
    if file == "net.params":
        assert confidence.main([str(run), "--ctx", "cpu"]) == 2
        assert "net.params: " in capsys.readouterr().err.splitlines()[-1]
        shutil.rmtree(path)
        (run / "model-0001.params").write_bytes(evil)
        assert confidence.main([str(run), "--ctx", "cpu"]) == 2
        assert "model-0001.params: " in capsys.readouterr().err.splitlines()[-1]
    assert not Path("ran").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["states", "state", "handle", "bytes", "optimizer", "schedule",
                                   "counts", "key"])
def test_a_call_anywhere_in_the_states_is_refused(refused, protocol, place):
    """In each place where something may be, in a pickle that is as usual but for that."""
    net, trainer = net_and_trainer()
    train_steps(net, trainer, 0, 3)
    updater, evil = trainer._updaters[0], Evil(os.system, "touch ran")
    states, optimizer = dict(updater.states), updater.optimizer
    if place == "states":
        states = evil
    elif place == "state":
        states[0] = evil
    elif place == "handle":
        states[0] = Evil(mx.nd.NDArray, evil)
    elif place == "bytes":
        states[0] = Evil(mx.nd.NDArray, None, Evil(bytearray, evil))
    elif place == "optimizer":
        optimizer = evil
    elif place == "schedule":
        optimizer.lr_scheduler = evil
    elif place == "counts":
        optimizer._all_index_update_counts = {0: evil}
    else:
        states[evil] = None
    refused(pickle.dumps((states, optimizer), protocol))


@pytest.mark.parametrize("program", [
    b"}" * 10_000_000 + b".",  # many objects
    b"(" * 10_000 + b"t" * 10_000 + b".",  # nested deeply
    b")" + b"\x85" * 10_000 + b".",
    short("x") + b"\x94" + b"h\x00\x86\x94h\x00".replace(b"h\x00", b"h\x00h\x00") * 200 + b".",
    b"B\xff\xff\xff\xff.", b"\x8e" + struct.pack("<Q", 2**62) + b".",
    b"X\xff\xff\xff\xff.", b"\x95" + b"\xff" * 8 + b"N.",
    b"".join(b"\x94" if i % 2 else b"N" for i in range(20_000)) + b".",
    b"", b".", b"0.", b"(.", b"}s.", b"}Nu.", b"j\xff\xff\xff\xff.", b"]\x94h\x00a.",
    b"}\x94K\x00h\x00s.", b"}}K\x00s.", b"N" * 200,
    b"}" + NDARRAY + b")R}b" + b"\x86.",
    short("a" * 9) + b"\x94" + b"h\x00\x86".replace(b"\x86", b"\x85") * 50 + b"."])
def test_bombs_and_nonsense_take_little(old, program):
    (old / "trainer.states").write_bytes(b"\x80\x04" + program)
    net, trainer = net_and_trainer()
    assert not survives(lambda: checkpoint.load(old, engine(net, trainer)), 2**20)


def test_the_reader_agrees_with_pickle_on_data():
    value = ({0: None, 1: (1.5, -7, 300, 70_000, True, False), "a": [b"x" * 300, "ü", {}, ()]}, [])
    assert read_pickle(io.BytesIO(pickle.dumps(value, 4)), TRAINER, 1000) == value


def test_old_states_need_no_other_opcodes():
    """What the fixtures hold, by the standard library's own listing, is what the reader knows."""
    from nin_gluon.training.inert_pickle import OPCODES, OPCODES_OF

    used = set()
    for optimizer in OPTIMIZERS:
        net, trainer = net_and_trainer(optimizer=optimizer)
        train_steps(net, trainer, 0, 3)
        data = trainer._updaters[0].get_states(dump_optimizer=True)
        used |= {opcode.code.encode("latin-1") for opcode, _, _ in pickletools.genops(data)}
    assert used - set(OPCODES) - set(OPCODES_OF[4]) == {b"\x80", b"."}


