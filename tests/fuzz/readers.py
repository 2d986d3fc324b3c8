"""The table of all readers: for each kind of file a valid one, and a function that reads it."""

import contextlib
import gzip
import hashlib
import io
import json
import struct
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from PIL import Image

from nin_gluon import InputError, models, runtime
from nin_gluon.analysis.own_images import fit, read_file, read_image
from nin_gluon.analysis.signal import Signal
from nin_gluon.data.archive import unpack
from nin_gluon.data.cifar_records import RECORD, read_records
from nin_gluon.data.idx import read_idx
from nin_gluon.data.image_set import DataFile
from nin_gluon.data.sets import CIFAR10
from nin_gluon.experiments.atlas.adding_logs import published_log
from nin_gluon.experiments.atlas.log_parsers import parse_file
from nin_gluon.experiments.atlas.published_logs import PACKAGED, read_atlas, write_atlas
from nin_gluon.experiments.comparisons import compare, format_comparison, format_signals
from nin_gluon.experiments.exercises.registry import EXERCISES
from nin_gluon.experiments.measurements import read_progress, stall_steps
from nin_gluon.experiments.pages import format_group
from nin_gluon.experiments.records import record_from_json, record_to_json
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.experiments.seed_groups import groups_of
from nin_gluon.experiments.stores import ExerciseFile, read_record, write_record
from nin_gluon.pretrained import read_weights, write_weights
from nin_gluon.pretrained.weights import checksum
from nin_gluon.settings import MODES, TEXTBOOK
from nin_gluon.training import checkpoint
from nin_gluon.training.checkpoint import net_parameters
from nin_gluon.training.gluon_engine import GluonEngine
from nin_gluon.training.history import EpochRecord, read_history
from nin_gluon.training.hosts import read_hosts
from nin_gluon.training.progress_marks import read_marks
from nin_gluon.training.run_folder import read_config
from nin_gluon.training.saved_parameters import read_in_net_order
from nin_gluon.training.tally import Tally
from tests import slim_nin
from tests.data.small_cifar import OFFICIAL, packed, records
from tests.experiments.made_runs import BOOK, book_records, make_book_run, make_record
from tests.fuzz.cases import MEGABYTE, Sample
from tests.fuzz.mutations import mutated
from tests.pretrained.made_weights import made_weights

try:
    import torch
except ModuleNotFoundError:
    torch = None

READERS = {}  # name -> function of a folder, which makes the sample in it

UNITS, INPUTS = 96, 512  # of the net whose checkpoints are damaged
PARAMETERS = 4 * UNITS * (INPUTS + 1)  # bytes


def reader(name):
    def add(make):
        READERS[name] = make
        return make

    return add


# ------------------------------------------------------------------ run folders


@reader("config.json")
def config(folder):
    run = make_book_run(folder / "run", 4, limit=64, own_data="1a2b3c4d")

    def read():
        found = read_config(run)
        model = found.settings.model
        try:
            runtime.parse_ctx(found.environment.ctx)
            if model != "nin":
                models.get_model(model)
        except InputError as error:  # these do not know the file
            raise InputError(f"{run}: {error}") from None

    return Sample(run / "config.json", read)


@reader("history.jsonl")
def history(folder):
    run = make_book_run(folder / "run", 0)
    return Sample(run / "history.jsonl", lambda: read_history(run / "history.jsonl"))


@reader("progress.jsonl")
def progress(folder):
    run = make_book_run(folder / "run", 0)
    file = run / "progress.jsonl"
    file.write_text("".join(json.dumps({"epochs": n / 4, "loss": 2.3 - n / 10, "train_acc": 0.1})
                            + "\n" for n in range(1, 9)))

    def read():
        read_marks(file)  # never raises for what the file holds
        stall_steps(read_progress(run), 100)

    return Sample(file, read)


def run_as_record(folder, name):
    run = make_book_run(folder / "run", 0)
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    lines[1].update(living=[0, 2, 9], class_acc=[0.5, 0.0, 1, None])
    (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def read():
        record = record_of_run(run)
        if record.finished:  # what can be kept can be read
            assert record_from_json(json.loads(json.dumps(record_to_json(record)))) == record

    return Sample(run / name, read)


@reader("config.json, as a record")
def config_as_record(folder):
    return run_as_record(folder, "config.json")


@reader("history.jsonl, as a record")
def history_as_record(folder):
    return run_as_record(folder, "history.jsonl")


@reader("diverged.txt, as a record")
def diverged_as_record(folder):
    run = make_book_run(folder / "run", 0, diverged="the loss became nan in epoch 2, step 3")
    return Sample(run / "diverged.txt", lambda: record_of_run(run))


# ------------------------------------------------------------------ checkpoints


def net_and_trainer():
    net = nn.HybridSequential()
    net.add(nn.Dense(UNITS))
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, INPUTS))).wait_to_read()
    schedule = mx.lr_scheduler.CosineScheduler(10, 0.1, warmup_steps=2)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {
        "learning_rate": 0.1, "momentum": 0.9, "lr_scheduler": schedule}, update_on_kvstore=False)
    for _ in range(3):
        with mx.autograd.record():
            loss = net(nd.ones((1, INPUTS)))
        loss.backward()
        trainer.step(1)
    return net, trainer


def in_checkpoint(folder, name, old=False):
    net, trainer = net_and_trainer()
    done = [EpochRecord(1, 0.1, 0.2, 0.3, 0.4)]
    engine = GluonEngine(net, mx.cpu(), trainer)
    path = checkpoint.save(folder, engine, Tally(2, 3, 1.5, 5, 6, 7.5), done,
                           np.random.get_state())
    if old:  # as version 0.1 wrote it
        state = json.loads((path / "state.json").read_text())
        del state["format"], state["optimizer"]
        (path / "state.json").write_text(json.dumps(state))
        net.save_parameters(str(path / "net.params"))
        trainer.save_states(str(path / "trainer.states"))
        (path / "net.safetensors").unlink()
        (path / "optimizer.safetensors").unlink()
    return Sample(path / name, lambda: checkpoint.load(path, engine),
                  4 * PARAMETERS)


@reader("checkpoint: state.json")
def state(folder):
    return in_checkpoint(folder, "state.json")


@reader("checkpoint: net.safetensors")
def net_safetensors(folder):
    return in_checkpoint(folder, "net.safetensors")


@reader("checkpoint: optimizer.safetensors")
def optimizer_safetensors(folder):
    return in_checkpoint(folder, "optimizer.safetensors")


@reader("checkpoint of 0.1: state.json")
def old_state(folder):
    return in_checkpoint(folder, "state.json", old=True)


@reader("checkpoint of 0.1: net.params")
def old_params(folder):
    return in_checkpoint(folder, "net.params", old=True)


@reader("checkpoint of 0.1: trainer.states")
def trainer_states(folder):
    return in_checkpoint(folder, "trainer.states", old=True)


@reader("model-NNNN.params")
def exported(folder):
    net, _ = net_and_trainer()
    net.hybridize()
    net(nd.ones((1, INPUTS))).wait_to_read()
    net.export(str(folder / "model"), 3)
    file = folder / "model-0003.params"
    wanted = [net_parameters.entry_of(name, parameter)
              for name, parameter in net_parameters.named_parameters(net).items()]

    def read():
        try:
            net_parameters.set_parameters(net, read_in_net_order(file, wanted), mx.cpu())
        except ValueError as error:
            raise InputError(str(error)) from None

    return Sample(file, read, 4 * PARAMETERS)


@reader("a trained net (.safetensors)")
def trained_net(folder):
    """As usual; or a change within the metadata, with the checksum right again."""
    file = folder / "net.safetensors"
    weights = made_weights("cifar_nin", 28)
    small = {"000.weight": np.ones((10, 7), np.float32), "001.bias": np.ones(10, np.float32)}
    write_weights(file, replace(weights, parameters=small))

    def mutate(content, seed):
        if seed % 2:
            return mutated(content, seed)
        length, = struct.unpack("<Q", content[:8])
        header, data = json.loads(content[8:8 + length]), content[8 + length:]
        metadata = header["__metadata__"]
        del metadata["sha256"]
        name = sorted(metadata)[seed // 2 % len(metadata)]
        metadata[name] = mutated(metadata[name].encode(), seed).decode("utf-8", "replace")
        metadata["sha256"] = checksum(metadata, data)
        packed = json.dumps(header).encode()
        return struct.pack("<Q", len(packed)) + packed + data

    return Sample(file, lambda: read_weights(file), mutate=mutate)


# ------------------------------------------------------------------ PyTorch


def torch_net():
    return torch.nn.Linear(INPUTS, UNITS)


def torch_engine_checkpoint(name):
    """A file in a checkpoint of ``train --engine torch``."""
    def make(folder):
        from nin_gluon.training.torch_engine import TorchEngine
        from nin_gluon.training.torch_optimizers import SGD

        net = torch_net()
        parameters = list(net.parameters())
        optimizer = SGD(parameters, 0.9)
        optimizer.update([torch.ones_like(p) for p in parameters], optimizer.next_rate(0.1))
        engine = TorchEngine(net, torch.device("cpu"), optimizer, lambda update: 0.1, 8)
        path = checkpoint.save(folder, engine, Tally(2, 3, 1.5, 5, 6, 7.5),
                               [EpochRecord(1, 0.1, 0.2, 0.3, 0.4)], np.random.get_state())
        return Sample(path / name, lambda: checkpoint.load(path, engine), 4 * PARAMETERS)

    return make


def torch_run(folder):
    """The net of a run of ``--engine torch``, as export reads it where there is no checkpoint.

    It is slim: each case builds one.
    """
    from nin_gluon.exports.trained import read_run
    from nin_gluon.torch_models.nets import known_net
    from nin_gluon.training.torch_engine import TorchEngine

    run = make_book_run(folder / "run", 0, engine="torch", model="cifar_nin", resize=28,
                        dataset="fashion-mnist")
    (run / "checkpoint" / "epoch-0006-step-000000").rmdir()
    with slim_torch():
        net = known_net("cifar_nin", 1, 28)
    TorchEngine(net, torch.device("cpu"), None, None, 8).export(run, 5)

    def read():
        with slim_torch():
            read_run(run)

    return Sample(run / "model-0005.safetensors", read)


@contextlib.contextmanager
def slim_torch():
    with pytest.MonkeyPatch.context() as patch:
        slim_nin.slim("torch", setattr=patch.setattr)
        yield


def edition_engine():
    """The engine of the PyTorch edition, with epochs of five batches."""
    from nin_gluon.torch_edition.data import BatchLoader
    from nin_gluon.torch_edition.engine import EditionEngine

    train_iter = BatchLoader(np.zeros((90, 9, 9, 1), np.uint8), np.zeros(90, int), 20, shuffle=True)
    return EditionEngine(torch_net(), torch.device("cpu"), 0.1, train_iter=train_iter)


def edition_state(folder):
    """``state.json`` of a run of the PyTorch edition."""
    engine = edition_engine()
    path = checkpoint.save(folder, engine, Tally(2, 3, 1.5, 5, 60, 7.5),
                           [EpochRecord(1, 0.1, 0.2, 0.3, 0.4, training_seconds=0.2)],
                           np.random.get_state())
    return Sample(path / "state.json", lambda: checkpoint.load(path, engine), 4 * PARAMETERS)


def torch_checkpoint(folder):
    from nin_gluon.torch_edition import old_checkpoint
    from tests.torch_edition.small import save_in_one_file

    engine = edition_engine()
    save_in_one_file(folder, engine.net, [EpochRecord(1, 2.3, 0.1, 0.2, 5.5)], 4.25, step=3,
                     loss_sum=1 / 3, correct=11, seconds=2.5)
    return (folder / old_checkpoint.NAME,
            lambda: old_checkpoint.restore(folder, engine, engine.train_iter))


def torch_safetensors(folder):
    file, read = torch_checkpoint(folder)

    def mutate(content, seed):
        """As usual; or a change within the state, whose text is packed into the header's."""
        if seed % 2:
            return mutated(content, seed)
        length, = struct.unpack("<Q", content[:8])
        header = json.loads(content[8:8 + length])
        state = mutated(header["__metadata__"]["state"].encode(), seed)
        header["__metadata__"]["state"] = state.decode("utf-8", "replace")
        packed = json.dumps(header).encode()
        return struct.pack("<Q", len(packed)) + packed + content[8 + length:]

    return Sample(file, read, 4 * PARAMETERS, mutate)


def torch_old(folder):
    file, read = torch_checkpoint(folder)
    file.unlink()
    torch.save({"net": torch_net().state_dict(), "seconds": 5.5,
                "random": {"cpu": torch.get_rng_state()},
                "history": [asdict(EpochRecord(1, 2.3, 0.1, 0.2, 5.5))]}, folder / "checkpoint.pt")

    def mutate(content, seed):
        """As usual; or a change within the pickle, with the archive's checksums right again."""
        if seed % 4 == 0:
            return mutated(content, seed)
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
            for entry in old.infolist():
                data = old.read(entry)
                if entry.filename.endswith("data.pkl"):
                    data = mutated(data, seed)
                new.writestr(entry.filename, data)
        return buffer.getvalue()

    return Sample(folder / "checkpoint.pt", read, 4 * PARAMETERS, mutate)


def torch_config(folder):
    from nin_gluon.runtime.torch_device import parse_device
    from nin_gluon.torch_edition.settings import RECIPE, read_config
    from nin_gluon.training.run_folder import TORCH_EDITION, Environment, RunConfig, write_config

    write_config(folder, RunConfig(TORCH_EDITION, RECIPE.but(limit=64), Environment(
        data_dir="/data/图", own_data="1a2b", machine={"torch": "2.13", "threads": 2})))

    def read():
        found = read_config(folder)
        try:
            parse_device(found.environment.ctx)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from None

    return Sample(folder / "config.json", read)


def torch_old_config(folder):
    """As runs from before there were other engines had it."""
    sample = torch_config(folder)
    content = json.loads(sample.file.read_text())
    names = ("epochs", "batch_size", "lr", "dtype", "seed", "dataset", "resize", "limit", "ctx",
             "mode", "data_dir", "own_data", "machine")
    sample.file.write_text(json.dumps({name: content[name] for name in names}, indent=1))
    return sample


def gpu_results(folder):
    """``gpu.json`` of `benchmarks.gpu`, from which it makes its table and its plan."""
    from benchmarks import gpu

    file = folder / "gpu.json"
    results = gpu.Results(folder, "cuda")
    results.keep("machine", {"device": "cuda", "gpu": "a card", "torch": "2.13",
                             "matrix_tflops": {"float32": 50.5, "bfloat16": 700.0}})
    results.keep("parity textbook auto", {"loss": 1e-6, "passed": True, "worst": "000.weight"})
    results.keep("throughput ours-float32", {"train_images_per_s": 1e4, "memory_mb": 900.5,
                                             "eval_images_per_s": 3e4})
    results.keep("resume", {"failed": "out of time"})
    results.keep("textbook 0", {
        "status": 0, "finished": True, "diverged": False, "epochs": 5, "of": 5, "seconds": 61.5,
        "test_acc": 0.7, "reached": {"0.544": 30.5, "0.885": None, "0.93": None}})

    def read():
        found = gpu.Results(folder, "cuda").parts
        assert gpu.table(found) and gpu.best_mode("float32", found) in MODES

    return Sample(file, read)


if torch:
    READERS["gpu.json"] = gpu_results
    for name in ("state.json", "net.safetensors", "optimizer.safetensors"):
        READERS[f"checkpoint of PyTorch: {name}"] = torch_engine_checkpoint(name)
    READERS["PyTorch: config.json"] = torch_config
    READERS["PyTorch of 0.1: config.json"] = torch_old_config
    READERS["PyTorch: state.json"] = edition_state
    READERS["PyTorch: model-NNNN.safetensors"] = torch_run
    READERS["PyTorch of 0.1: checkpoint.safetensors"] = torch_safetensors
    READERS["PyTorch of 0.1: checkpoint.pt"] = torch_old


# ------------------------------------------------------------------ records


@reader("a record (.jsonl)")
def record(folder):
    file, others = folder / "0.jsonl", book_records(0.0, 0.1, -0.1)
    first = others.pop(Path("0.jsonl"))
    write_record(file, replace(first, escape_step=9, history=tuple(
        replace(epoch, living=(1, 2), class_acc=(0.5,) * 10) for epoch in first.history)))

    def read():
        for group in groups_of(BOOK, {**others, file: read_record(file)}):
            format_group(group).encode()

    return Sample(file, read)


@reader("an exercise (.json)")
def exercise(folder):
    asked = EXERCISES["tune"]
    store = ExerciseFile(folder / "tune.json", "tune", "why?", asked.signals)
    part = asked.parts[1]
    measured = replace(make_record(TEXTBOOK.but(epochs=1), [(2.0, 0.5, 0.5)]), parameters=10,
                       macs=10**6, test_images=10000, steps=2)
    signal = Signal("he", 0, 67, "sample", (0.5,), (0.1,), (1e-9,))
    store.write([replace(measured, settings=part.settings_of(label, "float32", n).but(
        epochs=1, dataset="fashion-mnist")) for label in list(part.variants)[:2] for n in range(3)],
        [signal, replace(signal, init="xavier")])
    part = replace(part, settings=part.settings.but(epochs=1, dataset="fashion-mnist"), full=None)
    assert [len(found.rows) for found in compare([part], store.read()[0])] == [2]

    def read():
        found, signals = store.read()
        for comparison in compare([part], found):
            format_comparison(comparison, stall=True).encode()
        if signals:
            format_signals(signals, list(dict.fromkeys(s.init for s in signals)))

    return Sample(store.path, read)


@reader("an atlas (.json)")
def atlas(folder):
    whole = PACKAGED.read_bytes()[:6000]
    file = folder / "atlas.json"
    file.write_bytes(whole[:whole.rindex(b"},")] + b"}]}")

    def read():
        for log in read_atlas(file):
            assert 0 <= log.final <= 1 and len(log.test_acc) <= log.epochs

    return Sample(file, read)


LOG = """\
training on gpu(0)
epoch 1, loss 2.2411, train acc 0.161, test acc 0.341, time 24.1 sec
epoch 2, loss 1.6733, train acc 0.372, test acc 0.585, time 22.9 sec
"""


def adding(folder, name, content):
    """A log in a file of this name, and a function that makes an atlas of it."""
    file, mine = folder / name, folder / "mine.json"
    file.write_text(content)

    def read():
        try:
            logs = [published_log(log, file.name, log.framework or "pytorch", "sgd-0.1")
                    for log in parse_file(file)]
        except InputError as error:  # what may not be added does not name the file
            raise InputError(f"{file}: {error}" if "log cannot be added" in str(error)
                             or "does not tell" in str(error) else str(error)) from None
        write_atlas(mine, logs)
        assert read_atlas(mine) == logs and all(0 <= log.final <= 1 for log in logs)

    return Sample(file, read)


@reader("a log to add (.txt)")
def text_log(folder):
    return adding(folder, "nin.txt", LOG)


@reader("a log to add (.ipynb)")
def notebook_log(folder):
    cells = [{"cell_type": "code", "source": "import d2lzh as d2l\nnin()\nlr, num_epochs = 0.1, 5",
              "outputs": [{"output_type": "stream", "text": LOG.splitlines(True)},
                          {"output_type": "display_data", "data": {"image/svg+xml": plot()}}]},
             {"cell_type": "code", "source": ["from d2l import torch as d2l"], "outputs": [
                 {"output_type": "stream", "text": "loss 0.35, train acc 0.87, test acc 0.87\n"},
                 {"output_type": "display_data", "data": {"image/svg+xml": [plot()]}}]}]
    return adding(folder, "nin.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))


def plot():
    """An SVG picture with a line, as the later editions draw them; cut to what is read of it."""
    def tick(axis, number, label, x, y):
        return (f'<g id="{axis}tick_{number}"><use x="{x}" y="{y}"/><!-- {label} --></g>')

    ticks = [tick("x", 1, 0, 10, 90), tick("x", 2, 2, 90, 90), tick("y", 1, 0, 10, 90),
             tick("y", 2, 1, 10, 10)]
    return ('<svg xmlns="http://www.w3.org/2000/svg"><g id="axes_1">' + "".join(ticks)
            + '<g id="line2d_9"><path d="M 50 40 L 90 20"/></g><g id="legend_1"><!-- test acc -->'
            "</g></g></svg>")


# ------------------------------------------------------------------ data


IMAGES = np.random.RandomState(0).randint(0, 256, (9, 7, 6)).astype(np.uint8)
IDX_IMAGES = b"\0\0\x08\x03" + struct.pack(">3I", *IMAGES.shape) + IMAGES.tobytes()
IDX_LABELS = b"\0\0\x08\x01" + struct.pack(">I", 100) + bytes(range(10)) * 10


def idx(folder, content, shape, classes=None):
    """An IDX file, plain or gzipped; damaged in the one form or in the other."""
    file = folder / "values.idx"

    def mutate(content, seed):
        if seed % 3 == 0:
            return mutated(content, seed)
        if seed % 3 == 1:
            return mutated(gzip.compress(content, mtime=0), seed)
        return gzip.compress(mutated(content, seed), 1)

    return Sample(file, lambda: read_idx(file, shape, classes), MEGABYTE, mutate, [content])


@reader("IDX images")
def idx_images(folder):
    return idx(folder, IDX_IMAGES, IMAGES.shape)


@reader("IDX labels")
def idx_labels(folder):
    return idx(folder, IDX_LABELS, (100,), 10)


@reader("CIFAR-10 records")
def cifar_records(folder):
    file = folder / "data_batch_1.bin"
    return Sample(file, lambda: read_records(file), MEGABYTE, contents=[records(3)])


@reader("CIFAR-10 archive")
def cifar_archive(folder):
    """Half of the damaged archives count as genuine, so that they are unpacked."""
    members = {name: content[: 2 * RECORD] for name, content in OFFICIAL.items()}
    files = [DataFile(name, (), 2 * RECORD) for name in members]
    file = folder / CIFAR10.archive.name

    def mutate(content, seed):
        if seed % 2:
            return mutated(content, seed)
        return gzip.compress(mutated(gzip.decompress(content), seed), 1)

    def read():
        content = file.read_bytes()
        checksum = hashlib.md5(content).hexdigest() if content[-1:] < b"\x80" else "none"
        genuine = CIFAR10.archive._replace(checksums=(checksum,))
        try:
            unpack(CIFAR10._replace(archive=genuine), file, files)
        finally:
            for name in members:
                (folder / name).unlink(missing_ok=True)
        assert {path.name for path in folder.iterdir()} == {file.name}

    return Sample(file, read, mutate=mutate, contents=[packed(members)])


@reader("own images")
def own_image(folder):
    file, contents = folder / "mine.png", []
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        for mode in ("RGB", "L"):
            buffer = io.BytesIO()
            Image.fromarray(np.tile(IMAGES[0], (3, 3))).convert(mode).save(buffer, form)
            contents.append(buffer.getvalue())
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0].astype(np.uint16) * 256).save(buffer, "PNG")
    contents.append(buffer.getvalue())
    def read():
        read_image(str(file), (28, 28, 1), False, "Fashion-MNIST")
        fit(read_file(str(file)), (28, 28, 1))

    # For 64 million pixels, the most there are.
    return Sample(file, read, 1500 * MEGABYTE, contents=contents)


# ------------------------------------------------------------------ jobs


@reader("hosts file")
def hosts(folder):
    file = folder / "hosts"
    file.write_text("# ours\none.example\nme@two.example  # the large one\n192.0.2.7\n")

    def read():
        for host in read_hosts(file):
            assert host.isprintable() and not host.startswith("-") and " " not in host

    return Sample(file, read)
