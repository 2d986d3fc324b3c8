"""The benchmarks run, and their tables say what was measured. Nothing here asserts a time."""

import importlib.util
import json
import os
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from benchmarks import compare, draws, parity, profile, scaling, versions
from benchmarks.variants import VARIANTS
from nin_gluon.analysis.cost import count
from nin_gluon.data import load_data
from nin_gluon.data.sets import load_image_set
from nin_gluon.errors import InputError
from nin_gluon.runtime import processors
from nin_gluon.runtime.processors import has_bfloat16
from nin_gluon.train import main as train_main
from nin_gluon.training.history import read_history
from tests import slim_nin

REAL = pytest.mark.skipif("NIN_GLUON_DATA" not in os.environ,
                          reason="needs the real Fashion-MNIST (NIN_GLUON_DATA)")


@pytest.fixture
def damaged(tmp_path):
    """A folder with files that are none of Fashion-MNIST's; none is missing, so none is sought."""
    for name in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(b"garbage")
    return str(tmp_path)


@pytest.fixture
def one_cpu(monkeypatch):
    """Give a variant's process one thread: two would wait for each other, busily."""
    monkeypatch.setattr(compare, "available_cpus", lambda: 1)


def turn(train, evaluation, megabytes, **more):
    return {"train_images_per_s": train, "eval_images_per_s": evaluation,
            "train_memory_mb": megabytes, **more}


@pytest.fixture
def report():
    """Two invented turns of five variants."""
    share = {"share_waiting_for_data": 0.01}
    return {
        "settings": {"resize": 224}, "rounds": 2, "machine": compare.machine(),
        "turns": {
            compare.CEILINGS: [{"float32_gflops": 450.6, "bfloat16_gflops": 0}] * 2,
            "d2lzh-threads": [turn(10, 40, 3000), turn(20, 40, 3000)],
            "torch": [turn(20, 50, 1000), turn(20, 50, 1000)],
            "torch-cl": [turn(30, 60, 2000), {"failed": "no memory"}],
            "ours": [turn(60, 200, 1500, **share), turn(60, 200, 1500, **share)],
            "ours-torch": [turn(45, 100, 1000, **share), turn(45, 100, 1000, **share)],
            "onnxruntime": [{"eval_images_per_s": 100.0}, {"eval_images_per_s": 150.0}],
        },
    }


def test_the_table_holds_medians_ratios_and_shares(report):
    table = compare.table(report).splitlines()
    rows = {row.split(" | ")[0].strip("| "): [cell.strip(" |") for cell in row.split(" | ")]
            for row in table if row.startswith("|")}
    assert rows["d2lzh 1.0.0, all threads"][2:4] == ["15.0 (10.0-20.0)", "1.00"]
    # 60 images of 4.506 GFLOP: 0.6 of 450.6 GFLOP/s.
    assert rows["nin_gluon"][2:] == ["60.0 (60.0-60.0)", "4.00", "200.0 (200.0-200.0)", "1500",
                                     "270", "0.60"]
    assert rows["ONNX Runtime, on the exported net"][1:] == [
        "float32", "", "", "125.0 (100.0-150.0)", "", "", ""]
    text = "\n".join(table)
    assert "evaluation is 1.60 x ONNX Runtime, on the exported net." in text
    assert "2.00 x the fastest PyTorch (PyTorch, channels_last), with 1.50 x the memory" in text
    assert "x the memory of the thriftiest." in text
    assert "training is 4.00 x and evaluation 5.00 x d2lzh 1.0.0, all threads." in text
    assert "In float32 with PyTorch, training is 1.50 x the fastest PyTorch (PyTorch, " in text
    assert "1.0% of a training step goes into making the batch" in text


def test_flops_of_a_training_step():
    # MACs by hand for the chapter's net: forward, weight gradients, input gradients but the first.
    first = 54 * 54 * 96 * 121
    others = (54 * 54 * 96 * 96 * 2 + 26 * 26 * 256 * (96 * 25 + 256 * 2)
              + 12 * 12 * 384 * (256 * 9 + 384 * 2) + 25 * 10 * (384 * 9 + 10 * 2))
    assert count("nin", (1, 1, 224, 224))["training_flops"] == 2 * (2 * first + 3 * others)


@pytest.mark.parametrize("options, message", [
    (["--rounds", "0"], "--rounds must be at least 1"),
    (["--images", "5"], "--images and --evaluate at least 128"),
    (["--evaluate", "127"], "--images and --evaluate at least 128"),
    (["--only", "pytorch"], "invalid choice"),
    (["--data-dir", "DAMAGED"], "train-images-idx3-ubyte.gz"),
])
def test_bad_requests_are_one_line(options, message, capsys, damaged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # --out is speed.json, and must not be there
    options = [damaged if option == "DAMAGED" else option for option in options]
    try:
        status = compare.main(options)
    except SystemExit as end:
        status = end.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and error.count("\n") == 1


def test_what_cannot_run_here_is_left_out_and_named(monkeypatch, capsys):
    monkeypatch.setattr(processors, "cpu_flags", set)
    monkeypatch.setattr(compare.importlib.util, "find_spec",
                        lambda name: None if name == "torch" else object())
    chosen = compare.choose(compare.build_parser().parse_args([]))
    assert chosen == [compare.CEILINGS, "d2lzh", "d2lzh-threads", "ours", "onnxruntime", "openvino"]
    told = capsys.readouterr().err
    assert "torch-cl: left out, because torch is not installed" in told
    assert "ours-bf16: left out, because this CPU has no bfloat16 arithmetic" in told


def test_no_more_images_are_counted_than_there_are(monkeypatch, tmp_path):
    sizes = {"train": 300, "test": 200}
    monkeypatch.setattr("nin_gluon.data.sets.load_image_set",
                        lambda name, split, root: (None, [0] * sizes[split]))
    asked = []

    def run(name, settings):
        asked.append({split: settings[split] for split in sizes})
        return {"failed": "on purpose"}

    monkeypatch.setattr(compare, "run", run)
    for images in ("128", "250", "999"):
        assert compare.main(["--only", "ours", "--rounds", "1", "--images", images, "--out",
                             str(tmp_path / f"{images}.json")]) == 1  # for all has failed
    assert compare.main(["--only", "ours", "--rounds", "1", "--images", "128", "--evaluate", "150",
                         "--out", str(tmp_path / "evaluated.json")]) == 1
    assert asked[::2] == [{"train": 128, "test": 128}, {"train": 250, "test": 200}, sizes,
                          {"train": 128, "test": 150}]


def test_scaling_wants_a_turn(capsys):
    assert scaling.main(["--rounds", "0"]) == 2
    assert "--rounds must be at least 1" in capsys.readouterr().err


def test_scaling_says_why_a_job_failed(monkeypatch):
    monkeypatch.setattr(scaling.subprocess, "run", lambda *args, **kwargs: SimpleNamespace(
        returncode=2, stdout="", stderr="a notice\nno Fashion-MNIST\n"))
    with pytest.raises(InputError, match=r"job of 2 workers failed \(no Fashion-MNIST\)"):
        scaling.job(2)


TURN = {"train": 8, "test": 6, "batch_size": 4, "resize": 67, "data_dir": None}


def skip_unless_possible(variant):
    for needed in variant.needs:
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    if variant.dtype == "bfloat16" and not has_bfloat16():
        pytest.skip("this CPU has no bfloat16 arithmetic")


def check_figures(figures):
    assert "failed" not in figures, figures
    assert all(value > 0 for value in figures.values())
    assert json.loads(json.dumps(figures)) == figures


@REAL
@pytest.mark.parametrize("name", ["d2lzh-threads", "ours-bf16"])
def test_a_variant_trains_and_evaluates_in_a_process_of_its_own(name, one_cpu):
    """Those that change MXNet for the whole process."""
    skip_unless_possible(VARIANTS[name])
    check_figures(compare.run(name, TURN))


@pytest.mark.parametrize("name", ["ours", "onnxruntime", "openvino", "openvino-bf16", "torch-cl",
                                  "torch-edition", "ours-torch", "ours-torch-bf16"])
def test_a_variant_trains_and_evaluates(name, few_images, garments, monkeypatch):
    """In this process, which has imported the frameworks for other tests."""
    skip_unless_possible(VARIANTS[name])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("nin_gluon.data.sets.load_image_set",
                        lambda name, split, root: garments(split, 16))
    check_figures(VARIANTS[name].run(TURN))


def test_a_variant_that_fails_does_not_end_the_others(one_cpu, tmp_path, monkeypatch):
    """The last line that it prints is told; here of an MXNet that cannot be imported."""
    (tmp_path / "mxnet.py").write_text("raise OSError('libmxnet.so is gone')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert compare.run("ours", TURN) == {"failed": "OSError: libmxnet.so is gone"}


def test_scaling_tables():
    turns = {("size 67", "float32"): [turn(700, 2000, 300), turn(900, 2000, 300)],
             ("batch 16", "float32"): [turn(1, 2, 3)], ("devices 2", "float32"): [turn(4, 5, 6)],
             ("images 256", "float32"): [turn(7, 8, 9)]}
    text = scaling.tables(turns, {1: [10.0, 12.0], 2: [9.0]}, ["float32"])
    assert "| 67 | 800 | 2000 | 300 |" in text
    assert "| 16 | 1 | 2 | 3 |" in text
    assert "1 worker: 11.0 s an epoch" in text and "2 workers: 9.0 s" in text


def test_profile_adds_up_what_onednn_tells():
    log = """dnnl_verbose,exec,cpu,convolution,old,forward_training,layouts,,alg,mb1_ic1,99
last step
dnnl_verbose,exec,cpu,convolution,jit:amx,forward_training,layouts,,alg,mb1_ic1,30.5
dnnl_verbose,exec,cpu,convolution,jit:amx,backward_weights,layouts,,alg,mb1_ic1,40
dnnl_verbose,exec,cpu,eltwise,jit,backward_data,layouts,,alg,1x2,5
dnnl_verbose,exec,cpu,reorder,jit,undef,layouts,,alg,1x2,4.5
took 100.0
"""
    milliseconds, kernels = profile.last_step(log)
    assert milliseconds == 100 and len(kernels) == 4
    text = profile.report(milliseconds, kernels, longest=1)
    assert "| convolutions, forward | 30 | 30.5% |" in text
    assert "| ReLU, both ways | 5 | 5.0% |" in text
    assert "| outside of oneDNN | 20 | 20.0% |" in text
    assert "| convolution backward_weights: jit:amx mb1_ic1 | 40.0 |" in text
    assert "forward_training" not in text


def test_profile_of_a_real_step(capsys):
    assert profile.main(["--size", "67", "--batch-size", "4", "--longest", "3"]) == 0
    text = capsys.readouterr().out
    assert "convolutions, gradients of their weights" in text
    assert text.count("\n| ") >= 9


@pytest.mark.parametrize("command", [compare, scaling])
def test_a_file_of_the_users_is_not_overwritten(command, tmp_path, capsys):
    there = tmp_path / "mine.json"
    there.write_text("mine")
    for out, message in ((there, "is there already"), (tmp_path / "no" / "x.json", "no folder"),
                         (there / "x.json", "no folder")):
        assert command.main(["--out", str(out)]) == 2
        assert message in capsys.readouterr().err
    assert there.read_text() == "mine"


def test_versions_tell_builds_apart(tmp_path, monkeypatch):
    """The same steps twice agree to the bit; a changed outcome shows in the figures."""
    images, labels = load_image_set("sample", "train")
    monkeypatch.setattr(versions, "BATCH", 8)
    monkeypatch.setattr(versions, "RESIZED", 8)
    given, ours = versions.make_given(images[:16], labels[:16])  # two steps
    np.savez(tmp_path / "given.npz", **given)
    versions.work(tmp_path / "given.npz", tmp_path / "one.npz")
    with np.load(tmp_path / "one.npz") as arrays:
        outcome = {name: arrays[name] for name in arrays.files}
    ours.update(outcome)
    same = versions.compare(ours, outcome)
    assert same["version"] == mx.__version__
    assert same["resized"]["bilinear"] == {"equal": 1, "largest": 0, "mean": 0}
    assert same["resized"]["bicubic"]["equal"] < 0.9
    assert all(same["equal"].values()) and set(same["difference"].values()) == {0}
    assert len(same["difference"]) == 12
    assert same["losses"]["with dropout"] != same["losses"]["without dropout"]

    other = dict(outcome, resized=outcome["resized"].copy(), drawn=outcome["drawn"] + 1,
                 dropped=1 - outcome["dropped"])
    other["resized"][0, 0, 0, 0] ^= 1
    for name in ("max pooling, backward", "gradient3 with dropout", "losses without dropout"):
        other[name] = outcome[name] * 1.5
    changed = versions.compare(ours, other)
    assert changed["resized"]["bilinear"]["largest"] == 1
    assert not any(changed["equal"].values())
    differences = {name: value for name, value in changed["difference"].items() if value}
    assert differences == pytest.approx({
        "max pooling, backward": 0.5, "gradients, with dropout": 0.5,
        "losses of 2 steps, without dropout": 0.5})
    table = versions.table("1.9.1", [same, changed])
    assert "| dropout mask | equal | DIFFERENT |" in table
    assert "| gradients, with dropout | 0.0e+00 | 5.0e-01 |" in table


def test_the_control_moves_one_weight_as_little_as_can_be():
    given = {"parameter0": np.ones((2, 3), np.float32), "parameter1": np.ones(2, np.float32)}
    moved = versions.nudged(given)
    assert (moved["parameter0"] != given["parameter0"]).sum() == 1
    assert 0 < (moved["parameter0"] - given["parameter0"]).max() < 2e-7
    assert moved["parameter0"].dtype == np.float32 and moved["parameter1"] is given["parameter1"]


def test_parity_explains_itself_and_writes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(parity, "write_text", lambda *args: pytest.fail("it wrote"))
    with pytest.raises(SystemExit) as stop:
        parity.main(["--help"])
    assert stop.value.code == 0 and "gluon_results.json" in capsys.readouterr().out


def test_versions_wants_a_place_for_its_figures_first(tmp_path, capsys):
    out = tmp_path / "none" / "x.json"
    assert versions.main(["--python", "none", "--out", str(out)]) == 2
    assert f"there is no folder {out.parent}" in capsys.readouterr().err


def test_versions_needs_an_interpreter_that_runs(tmp_path, capfd):
    with pytest.raises(SystemExit) as stop:
        versions.main(["--python", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert "none" in capfd.readouterr().err


SMALL = {"resize": 67, "batch_size": 16, "epochs": 1}


@pytest.fixture
def few_slim(few_images, monkeypatch):
    """Few images, and the chapter's net with few channels."""
    slim_nin.slim("mxnet", setattr=monkeypatch.setattr)


def test_draws_of_one_seed_make_the_run_of_the_train_command(few_slim, no_pictures, tmp_path):
    run = tmp_path / "run"
    options = ["--resize", "67", "--batch-size", "16", "--epochs", "1", "--seed", "5",
               "--dataset", "sample", "--dtype", "float32", "--out", str(run)]
    assert train_main(options) == 0
    record, = read_history(run / "history.jsonl")
    mine = draws.train(dict.fromkeys(draws.DRAWS, 5), SMALL, *load_data("sample", 16, 67))
    assert mine["history"] == [[record.loss, record.train_acc, record.test_acc]]


def test_each_draw_changes_the_run(few_slim):
    same = dict.fromkeys(draws.DRAWS, 0)
    data = load_data("sample", 16, 67)
    losses = [draws.train({**same, **changed}, SMALL, *data)["history"][0][0]
              for changed in ({}, *({draw: 1} for draw in draws.DRAWS))]
    assert losses[0] not in losses[1:]


def test_draws_are_told_apart_in_the_table(few_images, tmp_path, monkeypatch, capsys):
    def run(seeds, settings, train_iter, test_iter):
        loss = 2 - seeds["weights"] - 0.25 * seeds["order"]
        return {"draws": seeds, "history": [[2.3, 0.1, 0.1], [loss, 0.5, loss / 4]], "alive": 9}

    monkeypatch.setattr(draws, "train", run)
    out = tmp_path / "draws.json"
    assert draws.main(["--seeds", "3", "--out", str(out)]) == 0
    rows = [row.strip("| ").split(" | ") for row in capsys.readouterr().out.splitlines()[2:5]]
    assert rows == [
        ["weights", "3", "0.0000 to 2.0000 (median 1.0000)", "0.000 to 0.500 (median 0.250)",
         "9 to 9 (median 9)"],
        ["order", "3", "1.5000 to 2.0000 (median 1.7500)", "0.375 to 0.500 (median 0.438)",
         "9 to 9 (median 9)"],
        ["masks", "3", "2.0000 to 2.0000 (median 2.0000)", "0.500 to 0.500 (median 0.500)",
         "9 to 9 (median 9)"]]
    figures = json.loads(out.read_text())
    assert len(figures["runs"]) == 7 and figures["settings"]["resize"] == 67
    before = out.read_bytes()
    assert draws.main(["--out", str(out)]) == 2 and out.read_bytes() == before


@pytest.mark.parametrize("option", ["--seeds=1", "--epochs=0", "--limit=0"])
def test_draws_refuse_what_makes_no_comparison(option, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        draws.main([option, "--out", str(tmp_path / "draws.json")])
    assert stop.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_draws_name_a_damaged_file(damaged, tmp_path, capsys):
    out = tmp_path / "draws.json"
    for name in ("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        tmp_path.joinpath(name + "-ubyte.gz").write_bytes(b"garbage")  # nothing to download
    assert draws.main(["--data-dir", damaged, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert damaged in error and error.count("\n") == 1 and not out.exists()
