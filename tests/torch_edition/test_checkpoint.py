"""Checkpoints: nothing in one can run code, and whatever does not fit is refused in one line."""

import io
import json
import os
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nin_gluon import InputError, plots
from nin_gluon.data.sample import draw_sample
from nin_gluon.training.history import EpochRecord, read_history
from nin_gluon.training.tally import Tally
from tests.torch_edition.small import Small, outcome, save_in_one_file

torch = pytest.importorskip("torch")

from nin_gluon import torch_edition  # noqa: E402
from nin_gluon.torch_edition import data, net, old_checkpoint  # noqa: E402
from nin_gluon.torch_edition.engine import EditionEngine  # noqa: E402
from nin_gluon.training import checkpoint  # noqa: E402

CPU = torch.device("cpu")
OLD_RUN = Path(__file__).parent / "run_of_version_0_1"
ONE_FILE_RUN = Path(__file__).parent / "run_saved_in_one_file"
RECORD = EpochRecord(1, 2.3, 0.1, 0.2, 5.5)


def batches():
    """Batches of 20 of 90 images: 5 in an epoch."""
    return data.BatchLoader(np.zeros((90, 9, 9, 1), "uint8"), np.zeros(90, int), 20, shuffle=True)


def engine_of(module):
    return EditionEngine(module, CPU, 0.1, train_iter=batches())


# ------------------------------------------------------------------ today's


@pytest.fixture
def saved(tmp_path):
    """An engine in the middle of an epoch, and the checkpoint that it is saved in."""
    engine = engine_of(Small())
    iter(engine.train_iter)
    torch.rand(7)
    path = checkpoint.save(tmp_path, engine, Tally(2, 3, 1 / 3, 11, 60, 2.5), [RECORD],
                           np.random.get_state())
    return path, engine


def test_there_and_back_again_loses_nothing(saved):
    path, engine = saved
    now = torch.get_rng_state()
    other = engine_of(Small())
    torch.manual_seed(99)
    tally, history = checkpoint.load(path, other)
    assert torch.equal(torch.get_rng_state(), now)
    assert torch.equal(other.train_iter.order_state, engine.train_iter.order_state)
    assert not torch.equal(other.train_iter.order_state, now)
    assert (tally.step, tally.loss_sum, tally.correct, history) == (3, 1 / 3, 11, [RECORD])
    for one, two in zip(engine.net.parameters(), other.net.parameters()):
        assert torch.equal(one, two)


def change_random(name, text):
    def change(numbers):
        numbers["random"][name] = text(numbers["random"][name]) if callable(text) else text

    return change


@pytest.mark.parametrize("change", [
    lambda numbers: numbers.pop("random"), lambda numbers: numbers.update(random=[]),
    lambda numbers: numbers["random"].pop("now"), lambda numbers: numbers["random"].pop("order"),
    change_random("now", ""), change_random("now", 7), change_random("now", "AAAA"),
    change_random("order", "no base64"), change_random("order", "\u56fe"),
    change_random("now", lambda text: "/" * len(text)), change_random("cuda", "AAAA"),
    change_random("mps", "AAAA"), lambda numbers: numbers.update(colour=1),
    lambda numbers: numbers.update(num_update="1"), lambda numbers: numbers.update(name="adam"),
])
def test_random_states_that_are_none_are_refused(saved, change):
    path, engine = saved
    state = json.loads((path / "state.json").read_text())
    change(state["optimizer"])
    (path / "state.json").write_text(json.dumps(state))
    assert_nothing_changes(lambda: checkpoint.load(path, engine), engine.net, path)


def assert_nothing_changes(load, module, folder):
    """It is refused in one line, and nothing has changed."""
    before, random = [p.clone() for p in module.parameters()], torch.get_rng_state()
    files = {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="the checkpoint .* cannot be read") as error:
        load()
    assert "\n" not in str(error.value)
    assert all(map(torch.equal, before, module.parameters()))
    assert torch.equal(random, torch.get_rng_state())
    assert files == {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}


# ------------------------------------------------------------------ in one file


@pytest.fixture
def one_file(tmp_path):
    """A net, and a folder with the one file that it was saved in in the middle of an epoch."""
    module, order = Small(), torch.get_rng_state()
    torch.rand(7)
    save_in_one_file(tmp_path, module, [RECORD], 4.25, order, step=3, loss_sum=1 / 3, correct=11,
                     seconds=2.5)
    return tmp_path, module, order


def test_what_was_in_one_file_is_read(one_file):
    folder, module, order = one_file
    now = torch.get_rng_state()
    engine = engine_of(Small())
    torch.manual_seed(99)
    (record,), tally = old_checkpoint.restore(folder, engine, engine.train_iter)
    assert torch.equal(torch.get_rng_state(), now)
    assert torch.equal(engine.train_iter.order_state, order)
    assert tally.state() == {"epoch": 2, "step": 3, "loss_sum": 1 / 3, "correct": 11, "images": 60,
                             "seconds": 2.5}
    assert (record.loss, record.seconds, record.training_seconds) == (2.3, 5.5, 4.25)
    assert engine.optimizer.updates == 8
    for one, two in zip(module.parameters(), engine.net.parameters()):
        assert torch.equal(one, two)


def rewritten(path, change):
    """Change the header of a safetensors file; the state in it is unpacked and packed again."""
    content = path.read_bytes()
    length, = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    state = json.loads(header["__metadata__"]["state"])
    change(header, state)
    header["__metadata__"]["state"] = json.dumps(state)
    packed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + content[8 + length:])


def put(name, value):
    return lambda header, state: state.__setitem__(name, value)


def put_record(name, value):
    return lambda header, state: state["history"][0].__setitem__(name, value)


@pytest.mark.parametrize("change", [
    put("step", 6), put("step", -1), put("step", 1.0), put("step", True), put("step", "1"),
    put("step", 10**400), put("loss_sum", float("nan")), put("loss_sum", float("inf")),
    put("seconds", None), put("correct", 0.5), put("history", {}), put("history", [[]]),
    put("history", [{}]), put("format", 3), put("colour", 1), put_record("epoch", 2),
    put_record("epoch", True), put_record("loss", "2"), put_record("train_acc", 1.5),
    put_record("seconds", float("inf")), put_record("colour", 1),
    lambda header, state: state.pop("seconds"),
    lambda header, state: header.__setitem__("net.9.weight", header.pop("net.0.weight")),
    lambda header, state: header["net.0.weight"].__setitem__("shape", [8, 1, 25]),
    lambda header, state: header["net.0.weight"].__setitem__("shape", [2**40, 2**40]),
    lambda header, state: header["net.0.weight"].__setitem__("dtype", "I32"),
    lambda header, state: header["net.0.weight"].__setitem__("dtype", "F4"),
    lambda header, state: header.__setitem__("random.cuda", header.pop("random.now")),
])
def test_a_state_that_does_not_fit_is_refused(one_file, change):
    folder, module, _ = one_file
    rewritten(folder / old_checkpoint.NAME, change)
    assert_refused(folder, module)


def assert_refused(folder, module):
    engine = engine_of(module)
    assert_nothing_changes(
        lambda: old_checkpoint.restore(folder, engine, engine.train_iter), module, folder)


def test_another_nets_checkpoint_is_refused(one_file):
    assert_refused(one_file[0], Small(classes=7))
    assert_refused(one_file[0], torch.nn.Linear(2, 2))


def test_a_file_that_is_no_checkpoint_is_refused(one_file):
    folder, module, _ = one_file
    path = folder / old_checkpoint.NAME
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:-1], whole + b"0", whole[:200], b"\xff" * 8 + whole[8:],
                    b"\0" * len(whole), bytes(len(whole) + old_checkpoint.MAX_HEADER + 300_000)):
        path.write_bytes(content)
        assert_refused(folder, module)
    path.unlink()
    path.mkdir()
    assert_refused(folder, module)
    path.rmdir()
    os.mkfifo(path)  # reading it would wait for ever
    assert_refused(folder, module)


def test_a_random_state_that_is_none_is_refused(one_file):
    folder, module, _ = one_file
    path = folder / old_checkpoint.NAME
    content = path.read_bytes()
    state = torch.get_rng_state().numpy().tobytes()
    assert content.count(state) == 1
    path.write_bytes(content.replace(state, b"\xff" * len(state)))
    assert_refused(folder, module)


# ------------------------------------------------------------------ version 0.1


@pytest.fixture
def old_runs(tmp_path, monkeypatch):
    """Copies of runs that were made on the sample's images."""
    def images(name, split, root=None):
        images, labels = draw_sample(90, seed=int(split == "test"))
        return images[..., None], labels

    monkeypatch.setattr(data, "load_image_set", images)
    monkeypatch.setattr(net, "nin", lambda in_channels: Small())
    monkeypatch.setattr(plots, "draw_curves", lambda *args: None)
    monkeypatch.setattr(plots, "save", lambda *args: None)
    return {run.name: Path(shutil.copytree(run, tmp_path / run.name))
            for run in (OLD_RUN, ONE_FILE_RUN)}


def test_a_run_of_version_0_1_goes_on(old_runs, tmp_path, caplog):
    """As one that was never stopped. Another processor may round differently."""
    old_run = old_runs[OLD_RUN.name]
    whole = tmp_path / "whole"
    options = ["--resize", "67", "--batch-size", "20", "--dataset", "sample", "--lr", "0.2",
               "--no-progress", "--epochs", "3", "--out", str(whole)]
    assert torch_edition.main(options) == 0
    recorded = read_history(OLD_RUN / "history.jsonl")
    before = (old_run / "checkpoint.pt").read_bytes()
    for epochs, warnings in (("3", 1), ("3", 0)):  # the second time from the new checkpoint
        caplog.clear()
        assert torch_edition.main(["--resume", str(old_run), "--epochs", epochs]) == 0
        assert len([r for r in caplog.records if "format of version 0.1" in r.message]) == warnings
    assert (old_run / "checkpoint.pt").read_bytes() == before
    (log, parameters), (other_log, others) = outcome(whole), outcome(old_run)
    assert len(other_log) == 3
    for ours, theirs in zip(log, other_log):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for ours, theirs in zip(log, recorded):
        assert ours == pytest.approx((theirs.epoch, theirs.loss, theirs.train_acc,
                                      theirs.test_acc), rel=1e-5)
    for ours, theirs in zip(parameters.values(), others.values()):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_run_saved_in_one_file_goes_on(old_runs):
    """From the middle of an epoch, as the command did that had stopped it there."""
    run = old_runs[ONE_FILE_RUN.name]
    before = (run / "checkpoint.safetensors").read_bytes()
    torch.manual_seed(99)
    assert torch_edition.main(["--resume", str(run), "--epochs", "3", "--no-progress"]) == 0
    assert (run / "checkpoint.safetensors").read_bytes() == before
    recorded = read_history(ONE_FILE_RUN / "resumed.jsonl")
    for ours, theirs in zip(outcome(run)[0], recorded):
        assert ours == pytest.approx((theirs.epoch, theirs.loss, theirs.train_acc,
                                      theirs.test_acc), rel=1e-5)
    assert len(recorded) == 3 and json.loads((run / "config.json").read_text())["preset"]


class Hostile:
    """Unpickling it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def old_state():
    return torch.load(OLD_RUN / "checkpoint.pt", weights_only=True)


@pytest.mark.parametrize("change", [
    lambda state: state.pop("random"), lambda state: state.update(colour=1),
    lambda state: state.update(net=[1]), lambda state: state["net"].update({3: torch.ones(2)}),
    lambda state: state["net"].popitem(), lambda state: state["random"].update(cpu=torch.ones(3)),
    lambda state: state.update(history=7), lambda state: state.update(seconds=float("nan")),
    lambda state: state["random"].update(cuda=torch.ones(16)),
    lambda state: state["net"].update({"0.weight": state["net"]["0.weight"].double()}),
    lambda state: state.update(history=[bytearray(100)]), lambda state: state.update(history={1}),
])
def test_an_old_checkpoint_that_does_not_fit_is_refused(tmp_path, change):
    state = old_state()
    change(state)
    torch.save(state, tmp_path / old_checkpoint.NAME_0_1)
    assert_refused(tmp_path, Small())


def test_code_in_an_old_checkpoint_is_not_run(tmp_path):
    path, trap = tmp_path / "run" / old_checkpoint.NAME_0_1, tmp_path / "trap"
    path.parent.mkdir()
    state = {**old_state(), "history": Hostile(trap)}
    torch.save(state, path)
    assert_refused(path.parent, Small())
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_refused(path.parent, Small())
    path.write_bytes(pickle.dumps(Hostile(trap)))
    assert_refused(path.parent, Small())
    assert not trap.exists()
    with pytest.raises(FileExistsError):  # the trap works
        trap.mkdir()
        pickle.loads(path.read_bytes())


def test_an_old_checkpoint_that_unfolds_is_refused(tmp_path):
    """A compressed archive could take any amount of memory."""
    with zipfile.ZipFile(OLD_RUN / "checkpoint.pt") as old, zipfile.ZipFile(
            tmp_path / old_checkpoint.NAME_0_1, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    assert_refused(tmp_path, Small())


def test_an_old_checkpoint_that_claims_much_takes_little(tmp_path):
    """The directory of its archive has four gigabytes, it says."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(OLD_RUN / "checkpoint.pt") as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    content = bytearray(buffer.getvalue())
    end = content.rindex(b"PK\5\6")
    for size in (2**31, 2**32 - 2):
        content[end + 12:end + 16] = struct.pack("<I", size)
        (tmp_path / old_checkpoint.NAME_0_1).write_bytes(content)
        tracemalloc.start()
        try:
            assert_refused(tmp_path, Small())
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()
