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

import pytest

from nin_gluon import InputError, plots
from nin_gluon.data.sample import draw_sample
from nin_gluon.training.history import EpochRecord, read_history
from tests.torch_edition.small import Small, outcome

torch = pytest.importorskip("torch")

from nin_gluon import torch_edition  # noqa: E402
from nin_gluon.torch_edition import checkpoint, data, net, old_checkpoint  # noqa: E402
from nin_gluon.torch_edition.loop import Progress  # noqa: E402

CPU = torch.device("cpu")
OLD_RUN = Path(__file__).parent / "run_of_version_0_1"


@pytest.fixture
def saved(tmp_path):
    """Net and progress in the middle of an epoch, and the folder they are saved in."""
    module = Small()
    progress = Progress([EpochRecord(1, 2.3, 0.1, 0.2, 5.5)], 4.25, 3, 1 / 3, 11, 2.5,
                        torch.get_rng_state())
    torch.rand(7)
    checkpoint.save(tmp_path, module, progress, CPU)
    return tmp_path, module, progress


def test_there_and_back_again_loses_nothing(saved):
    folder, module, progress = saved
    now = torch.get_rng_state()
    other = Small()
    torch.manual_seed(99)
    loaded = checkpoint.load(folder, other, CPU, steps=5)
    assert torch.equal(torch.get_rng_state(), progress.order_state)  # the order is drawn next
    assert torch.equal(loaded.random_state, now)
    for name in ("history", "training_seconds", "step", "loss_sum", "correct", "seconds"):
        assert getattr(loaded, name) == getattr(progress, name)
    for one, two in zip(module.parameters(), other.parameters()):
        assert torch.equal(one, two)


def test_channels_last_and_odd_names_are_saved_too(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last)
    checkpoint.save(tmp_path, module, Progress(), CPU)
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    assert not checkpoint.load(tmp_path, other, CPU, 1).started
    assert torch.equal(module[0].weight, other[0].weight)


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
def test_a_state_that_does_not_fit_is_refused(saved, change):
    folder, module, _ = saved
    rewritten(folder / checkpoint.NAME, change)
    assert_refused(folder, module)


def assert_refused(folder, module):
    """It is one line, and nothing has changed."""
    before, random = [p.clone() for p in module.parameters()], torch.get_rng_state()
    files = {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="the checkpoint .* cannot be read") as error:
        checkpoint.load(folder, module, CPU, steps=5)
    assert "\n" not in str(error.value)
    assert all(map(torch.equal, before, module.parameters()))
    assert torch.equal(random, torch.get_rng_state())
    assert files == {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}


def test_another_nets_checkpoint_is_refused(saved):
    assert_refused(saved[0], Small(classes=7))
    assert_refused(saved[0], torch.nn.Linear(2, 2))


def test_a_file_that_is_no_checkpoint_is_refused(saved):
    folder, module, _ = saved
    path = folder / checkpoint.NAME
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:-1], whole + b"0", whole[:200], b"\xff" * 8 + whole[8:],
                    b"\0" * len(whole), bytes(checkpoint.size_limit(module) + 1)):
        path.write_bytes(content)
        assert_refused(folder, module)
    path.unlink()
    path.mkdir()
    assert_refused(folder, module)
    path.rmdir()
    os.mkfifo(path)  # reading it would wait for ever
    assert_refused(folder, module)


def test_a_random_state_that_is_none_is_refused(saved):
    folder, module, _ = saved
    path = folder / checkpoint.NAME
    content = path.read_bytes()
    state = torch.get_rng_state().numpy().tobytes()
    assert content.count(state) == 1
    path.write_bytes(content.replace(state, b"\xff" * len(state)))
    assert_refused(folder, module)


# ------------------------------------------------------------------ version 0.1


@pytest.fixture
def old_run(tmp_path, monkeypatch):
    """A copy of a run of two epochs that version 0.1 made on the sample's images."""
    def images(name, split, root=None):
        images, labels = draw_sample(90, seed=int(split == "test"))
        return images[..., None], labels

    monkeypatch.setattr(data, "load_image_set", images)
    monkeypatch.setattr(net, "nin", lambda in_channels: Small())
    monkeypatch.setattr(plots, "draw_curves", lambda *args: None)
    monkeypatch.setattr(plots, "save", lambda *args: None)
    return Path(shutil.copytree(OLD_RUN, tmp_path / "old"))


def test_a_run_of_version_0_1_goes_on(old_run, tmp_path, caplog):
    """As one that was never stopped. Another processor may round differently."""
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
    torch.save(state, tmp_path / old_checkpoint.NAME)
    assert_refused(tmp_path, Small())


def test_code_in_an_old_checkpoint_is_not_run(tmp_path):
    path, trap = tmp_path / "run" / old_checkpoint.NAME, tmp_path / "trap"
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
            tmp_path / old_checkpoint.NAME, "w", zipfile.ZIP_DEFLATED) as new:
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
        (tmp_path / old_checkpoint.NAME).write_bytes(content)
        tracemalloc.start()
        try:
            assert_refused(tmp_path, Small())
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()
