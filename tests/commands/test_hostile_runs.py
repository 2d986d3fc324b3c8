"""Run folders from strangers: no command runs what is in them, or stumbles over it."""

import json
import pickle
import shutil

import mxnet as mx
import pytest
from mxnet import gluon, nd
from mxnet.gluon import nn
from PIL import Image

from nin_gluon import compare, confidence, evaluate, export, models, predict, reproduce, train
from nin_gluon.training import checkpoint
from tests.experiments.made_runs import make_book_run
from tests.hostile_files import CONTENTS, KINDS, PLACES, Trap, check_refused

kinds = pytest.mark.parametrize("kind", KINDS)


def small_net(name="nin"):
    """In place of the chapter's, so that hundreds of runs go on in no time."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(10, 5, 4), nn.GlobalAvgPool2D(), nn.Flatten())
    return net


@pytest.fixture(autouse=True, scope="module")
def quick(garments):
    """Few images, a small net, no pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get_model", small_net)
        patch.setattr("nin_gluon.data.load_image_set",
                      lambda name, split, root=None: garments(split, 16))
        patch.setattr("nin_gluon.plots.save", lambda *args: None)
        patch.setattr("nin_gluon.plots.draw_curves", lambda *args: None)
        patch.setattr("nin_gluon.plots.draw_predictions", lambda *args: None)
        patch.setattr("nin_gluon.plots.draw_class_maps", lambda *args: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, quick):
    """A finished run of the train command."""
    run = tmp_path_factory.mktemp("made") / "run"
    options = ["--resize", "67", "--batch-size", "16", "--epochs", "1", "--momentum", "0.9",
               "--dataset", "fashion-mnist", "--no-progress", "--ctx", "cpu"]
    assert train.main([*options, "--out", str(run)]) == 0
    return run


@pytest.fixture
def run(made, tmp_path):
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "run")


def make_old(path):
    """Turn a checkpoint into one of version 0.1."""
    net = small_net()
    net.initialize()
    net(nd.zeros((1, 1, 67, 67))).wait_to_read()
    trainer = gluon.Trainer(list(net.collect_params().values()), "sgd", {
        "learning_rate": 0.1, "momentum": 0.9}, update_on_kvstore=False)
    with mx.autograd.record():
        loss = net(nd.ones((1, 1, 67, 67)))
    loss.backward()
    trainer.step(1)
    net.save_parameters(str(path / "net.params"))
    trainer.save_states(str(path / "trainer.states"))
    state = json.loads((path / "state.json").read_text())
    del state["format"], state["optimizer"]
    (path / "state.json").write_text(json.dumps(state))
    (path / "net.safetensors").unlink()
    (path / "optimizer.safetensors").unlink()


@pytest.mark.parametrize("name", ["config.json", "net.safetensors", "optimizer.safetensors",
                                  "state.json"])
@kinds
def test_train_resumes_no_hostile_run(run, tmp_path, capsys, name, kind):
    path = run if name == "config.json" else checkpoint.latest(run)
    KINDS[kind](path / name, tmp_path / "trap")
    check_refused(train.main, ["--resume", run], run, name, tmp_path / "trap", capsys)


@pytest.mark.parametrize("name", ["net.params", "trainer.states", "state.json"])
@kinds
def test_train_resumes_no_hostile_run_of_version_0_1(run, tmp_path, capsys, name, kind):
    path = checkpoint.latest(run)
    make_old(path)
    KINDS[kind](path / name, tmp_path / "trap")
    check_refused(train.main, ["--resume", run], run, name, tmp_path / "trap", capsys)


def test_the_run_of_version_0_1_is_whole_but_for_what_is_put_there(run):
    make_old(checkpoint.latest(run))
    assert train.main(["--resume", str(run)]) == 0


WRITTEN = ["history.jsonl", "progress.jsonl", "diverged.txt", "curves.png", "predictions.png",
           "model-symbol.json", "model-0001.params"]


# In place of what train writes, a file of /proc is an ordinary one, which it writes anew.
@pytest.mark.parametrize("name, kind", [
    (name, kind) for name in [*WRITTEN, ".lock"] for kind in PLACES
    if name == ".lock" or kind != "a file of /proc"])
def test_train_says_what_is_in_the_way_of_its_files(run, tmp_path, capsys, name, kind):
    PLACES[kind](run / name, tmp_path / "trap")
    check_refused(train.main, ["--resume", run], run, name, tmp_path / "trap", capsys)


@pytest.mark.parametrize("kind", [*CONTENTS, "a file of /proc"])
def test_train_writes_what_it_does_not_read_anew(run, tmp_path, kind):
    """The history is in the checkpoint too; the progress is drawn and no more."""
    history = (run / "history.jsonl").read_bytes()
    for name in WRITTEN:
        KINDS[kind](run / name, tmp_path / "trap")
    assert train.main(["--resume", str(run)]) == 0
    assert (run / "history.jsonl").read_bytes() == history
    assert not (tmp_path / "trap").exists()


def test_a_lock_that_leads_elsewhere_empties_no_file(run, tmp_path, capsys):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(mine)
    check_refused(train.main, ["--resume", run], run, ".lock", tmp_path / "trap", capsys)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["config.json", "history.jsonl", "net.safetensors", "net.params",
                                  "model-0001.params"])
@pytest.mark.parametrize("command", ["confidence", "evaluate", "predict", "export"])
@kinds
def test_no_other_command_takes_a_hostile_net(run, tmp_path, capsys, caplog, command, name, kind):
    path = checkpoint.latest(run) if name.startswith("net") else run
    if name == "net.params":
        make_old(path)
    if name == "model-0001.params":
        shutil.rmtree(run / "checkpoint")
    KINDS[kind](path / name, tmp_path / "trap")
    picture = tmp_path / "picture.png"
    Image.new("L", (28, 28), 200).save(picture)
    main, arguments = {
        "confidence": (confidence.main, [run, "--ctx", "cpu"]),
        "evaluate": (evaluate.main, [run, "--ctx", "cpu", "--no-progress"]),
        "predict": (predict.main, ["--run", run, "--ctx", "cpu", "--no-progress", picture]),
        "export": (export.main, [run, "--to", "safetensors", "--out",
                                 tmp_path / "net.safetensors"]),
    }[command]
    if name == "history.jsonl" and kind == "a file of /proc":  # it counts as empty
        assert main([str(argument) for argument in arguments]) == 0
        assert "the run is unfinished (0 of 1 epochs)" in caplog.text
        return
    check_refused(main, arguments, run, name, tmp_path / "trap", capsys)
    assert not (tmp_path / "net.safetensors").exists()


@pytest.mark.parametrize("name", ["config.json", "history.jsonl"])
@kinds
def test_compare_shows_no_hostile_run(run, made, tmp_path, capsys, name, kind):
    KINDS[kind](run / name, tmp_path / "trap")
    if name == "history.jsonl" and kind == "a file of /proc":  # it counts as empty
        assert compare.main([str(made), str(run)]) == 0
        return
    check_refused(compare.main, [made, run], run, name, tmp_path / "trap", capsys)


@pytest.mark.parametrize("name", ["config.json", "history.jsonl", "diverged.txt"])
@kinds
def test_reproduce_takes_no_hostile_run_in(tmp_path, capsys, name, kind):
    run = make_book_run(tmp_path / "run", 3)
    options = ["--add", run, "--results", tmp_path / "results"]
    KINDS[kind](run / name, tmp_path / "trap")
    # How a run diverged may be any text that fills no page; what is empty is text, too.
    if name == "diverged.txt" and kind in ("an older pickle", "NaN", "a file of /proc"):
        assert reproduce.main([str(option) for option in options]) == 0
        assert "Traceback" not in capsys.readouterr().err
        assert not (tmp_path / "trap").exists()
        return
    if name == "history.jsonl" and kind == "a file of /proc":
        name = "finish it first"  # it counts as empty
    check_refused(reproduce.main, options, run, name, tmp_path / "trap", capsys)
    assert not (tmp_path / "results").exists()


def test_the_traps_work(tmp_path):
    CONTENTS["a pickle"](tmp_path / "file", tmp_path / "trap")
    pickle.loads((tmp_path / "file").read_bytes())
    assert (tmp_path / "trap").is_dir()
    with pytest.raises(FileExistsError):
        pickle.loads(pickle.dumps(Trap(tmp_path / "trap"), 0))
