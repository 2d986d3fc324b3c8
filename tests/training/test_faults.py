"""Faults while a run writes: it stops with one line, and goes on once the cause is gone.

The faults are real. A limit on the size of files refuses the writing of one chosen file, as a full
disk would; a folder is made read-only, or deleted.
"""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from mxnet import nd

import nin_gluon.data
from nin_gluon import plots, train
from nin_gluon.training import run_folder
from nin_gluon.training.callbacks import Checkpoints
from nin_gluon.training.history import read_history

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.usefixtures("slim")

OPTIONS = ["--resize", "67", "--batch-size", "16", "--epochs", "2", "--init", "he", "--lr", "0.01",
           "--momentum", "0.9", "--dataset", "fashion-mnist", "--checkpoint-every", "2"]

# Every file of a run, and how many of its writings pass before one is refused. (The history's
# first two are of nothing, which even a full disk takes.)
WRITTEN = {"config.json": 0, "net.safetensors": 2, "optimizer.safetensors": 2, "state.json": 2,
           "history.jsonl": 2, "progress.jsonl": 1, "model-symbol.json": 0, "model-0001.params": 0,
           "curves.png": 0, "predictions.png": 0}


@pytest.fixture(scope="module")
def images(garments):
    """Few images, and empty pictures: they are written like others, and take no time to draw."""
    with pytest.MonkeyPatch.context() as patch:
        for draw in ("draw_curves", "draw_predictions"):
            patch.setattr(plots, draw, lambda *args: Figure(figsize=(1, 1)))
        patch.setattr(nin_gluon.data, "load_image_set", lambda name, split, root=None:
                      garments(split, {"train": 48, "test": 32}[split]))
        yield


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """The outcome of the run that meets no fault."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert train.main([*OPTIONS, "--out", str(run)]) == 0
    return outcome(run)


def outcome(run):
    """The log without its times, and the parameters' bytes; their names count this process's nets.
    """
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc) for r in read_history(run / "history.jsonl")]
    parameters = nd.load(str(run / "model-0002.params")).values()
    return log, [value.asnumpy().tobytes() for value in parameters]


@contextlib.contextmanager
def refused(name, let_through, monkeypatch):
    """Inside the block the operating system refuses to write a file of that name."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = []

    def guarded(owner, method, names):
        original = getattr(owner, method)

        def writing(*args, **kwargs):
            written.extend(n for n in names(*args) if n == name)
            if name not in names(*args) or len(written) <= let_through:
                return original(*args, **kwargs)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            try:
                return original(*args, **kwargs)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        patch.setattr(owner, method, writing)

    with monkeypatch.context() as patch:
        guarded(Path, "write_bytes", lambda path, data: [path.name])
        guarded(Path, "write_text", lambda path, text, encoding=None: [path.name])
        guarded(Figure, "savefig", lambda figure, path: [Path(path).name])
        guarded(run_folder, "write_export", lambda net, path, epoch:
                ["model-symbol.json", f"model-{epoch:04d}.params"])
        yield written


def goes_on(run, whole, capsys):
    """Resume the run; its outcome must be the whole run's."""
    assert train.main(["--resume", str(run)]) == 0
    capsys.readouterr()
    assert outcome(run) == whole
    assert not list(run.rglob(".*-*"))  # nothing half-written is left behind


@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_at_each_file(whole, monkeypatch, tmp_path, capsys, name):
    run = tmp_path / "run"
    with refused(name, WRITTEN[name], monkeypatch) as written:
        assert train.main([*OPTIONS, "--out", str(run)]) == 2
    assert len(written) == WRITTEN[name] + 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be written" in error and "Errno" not in error
    if name == "config.json":  # nothing has begun, and nothing is left in the way
        assert train.main([*OPTIONS, "--out", str(run)]) == 0
        assert outcome(run) == whole
    else:
        assert f"--resume {run}" in error
        goes_on(run, whole, capsys)


@contextlib.contextmanager
def fault_after(step, fault, monkeypatch):
    """Inside the block, do something to the folder after that step of the first epoch."""
    original = Checkpoints.on_train_batch_end

    def stepping(self, tally):
        if (tally.epoch, tally.step) == (1, step):
            fault(self.folder)
        original(self, tally)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_end", stepping)
        yield


def test_a_folder_that_becomes_read_only(whole, monkeypatch, tmp_path, capsys):
    run = tmp_path / "run"
    if os.geteuid() == 0:  # root may write anywhere, so give up root's rights for the while
        os.chmod(tmp_path, 0o777)
        for parent in tmp_path.parents[:3]:
            os.chmod(parent, parent.stat().st_mode | 0o055)

    def close(folder):
        for place in (folder, folder / "checkpoint"):
            os.chmod(place, 0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)

    try:
        with fault_after(2, close, monkeypatch):
            assert train.main([*OPTIONS, "--out", str(run)]) == 2
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "permission is denied" in error and "--resume" in error
    for place in (run, run / "checkpoint"):
        os.chmod(place, 0o755)
    goes_on(run, whole, capsys)


def test_a_folder_that_is_deleted(images, monkeypatch, tmp_path, capsys):
    run = tmp_path / "run"
    with fault_after(2, shutil.rmtree, monkeypatch):
        assert train.main([*OPTIONS, "--out", str(run)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be written: it is not there" in error
    assert not run.exists()


def test_a_folder_that_was_moved_goes_on(whole, monkeypatch, tmp_path, capsys):
    class Killed(BaseException):
        pass

    def kill(folder):
        raise Killed

    with fault_after(3, kill, monkeypatch):
        with pytest.raises(Killed):
            train.main([*OPTIONS, "--out", str(tmp_path / "run")])
    elsewhere = tmp_path / "another machine" / "größer 图"
    shutil.copytree(tmp_path / "run", elsewhere)
    shutil.rmtree(tmp_path / "run")
    capsys.readouterr()
    goes_on(elsewhere, whole, capsys)


def test_a_clock_that_is_set_back(whole, monkeypatch, tmp_path, capsys):
    import time

    ticks, saved = [], []

    def backwards():
        ticks.append(1)
        return -1000.0 * len(ticks)

    def save(self):
        saved.append(self.tally.step)
        real_save(self)

    real_save = Checkpoints.save
    monkeypatch.setattr(time, "time", backwards)
    monkeypatch.setattr(Checkpoints, "save", save)
    monkeypatch.setattr("nin_gluon.training.callbacks.CHECKPOINT_SECONDS", 0)
    run = tmp_path / "run"
    by_time = OPTIONS[:OPTIONS.index("--checkpoint-every")]
    assert train.main([*by_time, "--out", str(run)]) == 0
    assert outcome(run) == whole
    assert {1, 2, 3} <= set(saved)  # a checkpoint is still due after so many seconds
    assert all(record.seconds > 0 for record in read_history(run / "history.jsonl"))


def test_what_a_killed_process_left_half_written_is_removed(whole, tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main([*OPTIONS, "--epochs", "1", "--out", str(run)]) == 0
    for name in ("history.jsonl", "model-0001.params"):
        (run / f".{name}-ab12cd_3").mkdir()
        (run / f".{name}-ab12cd_3" / name).write_text("half")
    (run / ".model-0001.params-ab12cd_3" / "model-symbol.json").write_text("whole")
    (run / ".curves.png-abcdefgh").mkdir()  # killed before there was anything in it
    mine = [run / name / "notes" for name in (".history.jsonl-original", ".model-best-original",
                                              ".history.jsonl-kept")]
    for path in mine:
        path.parent.mkdir()
        path.write_text("mine")
    assert train.main(["--resume", str(run), "--epochs", "2"]) == 0
    assert outcome(run) == whole
    assert {path for path in run.glob(".*") if path.is_dir()} == {path.parent for path in mine}
    assert all(path.read_text() == "mine" for path in mine)


def test_a_run_killed_before_its_first_checkpoint_begins_anew(whole, monkeypatch, tmp_path, capsys,
                                                              caplog):
    run = tmp_path / "run"

    def die(self):
        raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", die)
        with pytest.raises(SystemError):
            train.main([*OPTIONS, "--out", str(run)])
    assert (run / "config.json").exists() and not (run / "checkpoint").exists()
    goes_on(run, whole, capsys)
    assert "it begins anew" in caplog.text
