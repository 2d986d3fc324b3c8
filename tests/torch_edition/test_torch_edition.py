"""The PyTorch edition: net, batches, loop and command."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from nin_gluon import InputError, torch_edition
from nin_gluon.experiments import published as textbook
from nin_gluon.training.history import parse_log, read_history

LAST_LINES = re.compile(r"loss \d\.\d{3}, train acc [01]\.\d{3}, test acc [01]\.\d{3}\n"
                        r"\d+\.\d examples/sec on \S+\n")


def test_the_last_lines_have_the_published_form():
    assert LAST_LINES.fullmatch(textbook.PYTORCH_LOG_TEXT)


def test_without_pytorch_it_says_how_to_get_it(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == "torch" else found(name, *rest))
    assert torch_edition.main([]) == 2
    error = capsys.readouterr().err
    assert "PyTorch is not installed; run: pip install 'nin_gluon[torch]'" in error
    assert error.count("\n") == 1
    from nin_gluon import from_torch, to_torch  # the names are there, and say the same

    for function in (from_torch, to_torch):
        with pytest.raises(InputError, match="PyTorch is not installed"):
            function(None)


def test_help_imports_neither_framework():
    code = ("import sys; from nin_gluon.torch_edition import main\n"
            "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
            "assert not {'torch', 'mxnet', 'matplotlib'} & set(sys.modules)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "--mode" in run.stdout


torch = pytest.importorskip("torch")

from nin_gluon.torch_edition import data, device, loop, net  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    """The nets here are too small for two, which would wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ------------------------------------------------------------------ net


def test_walking_the_layers_gives_the_published_shapes():
    X, shapes = torch.rand(1, 1, 224, 224), []
    for layer in net.nin():
        X = layer(X)
        shapes.append((type(layer).__name__, tuple(X.shape)))
    assert tuple(shapes) == textbook.PYTORCH_SHAPES


def test_the_net_has_the_gluon_nets_parameters():
    assert sum(p.numel() for p in net.nin().parameters()) == 1_992_166
    assert net.nin(7, in_channels=3)(torch.rand(2, 3, 70, 80)).shape == (2, 7)


def test_the_smallest_input():
    net.nin()(torch.zeros(1, 1, net.SMALLEST_INPUT, net.SMALLEST_INPUT))
    with pytest.raises(RuntimeError):
        net.nin()(torch.zeros(1, 1, net.SMALLEST_INPUT - 1, net.SMALLEST_INPUT))


def test_initialization_is_xavier_for_weights_and_pytorchs_for_biases():
    module = torch.nn.Sequential(net.nin_block(8, 64, 5, 1, 2), torch.nn.Linear(64, 32))
    before = [layer.bias.clone() for layer in module.modules() if hasattr(layer, "bias")]
    net.init_weights(module)
    layers = [layer for layer in module.modules() if hasattr(layer, "bias")]
    assert len(layers) == 4
    for layer, bias in zip(layers, before):
        out, channels, *window = layer.weight.shape
        pixels = np.prod(window, dtype=int)
        bound = (6 / ((out + channels) * pixels)) ** 0.5
        assert 0.97 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert torch.equal(layer.bias, bias)
        assert 0 < layer.bias.abs().max() <= (channels * pixels) ** -0.5


# ------------------------------------------------------------------ batches


@pytest.mark.parametrize("size", [67, 96, 101, 112, 224, 29, 28, 27, 9, 1])
def test_resizing_is_pillows_bit_for_bit(garments, size):
    from PIL import Image

    images = garments("test", 100)[0][..., 0]
    wanted = [Image.fromarray(i).resize((size, size), Image.BILINEAR) for i in images]
    resized = data.Resize((28, 28), (size, size))(torch.tensor(images))
    np.testing.assert_array_equal(resized.numpy(), np.stack(wanted))


def test_height_and_width_are_not_mixed_up():
    from PIL import Image

    image = np.random.randint(0, 256, (20, 33)).astype("uint8")
    wanted = Image.fromarray(image).resize((50, 70), Image.BILINEAR)  # (width, height)
    resized = data.Resize((20, 33), (70, 50))(torch.tensor(image))
    np.testing.assert_array_equal(resized.numpy(), np.array(wanted))


def test_batches(garments):
    images, labels = garments("test", 50)
    batches = list(data.BatchLoader(images, labels, 16, resize=56))
    assert [tuple(X.shape) for X, _ in batches] == [(16, 1, 56, 56)] * 3 + [(2, 1, 56, 56)]
    X, y = batches[0]
    assert (X.dtype, y.dtype) == (torch.float32, torch.int64)
    assert X.stride() == (56 * 56, 1, 56, 1)  # channels last, although there is only one
    assert torch.equal(torch.cat([y for _, y in batches]), torch.tensor(labels).long())
    plain = torch.cat([X for X, _ in data.BatchLoader(images, labels, 16)])
    np.testing.assert_array_equal(plain, images.transpose(0, 3, 1, 2).astype("float32") / 255)


@pytest.mark.parametrize("n, batch_size, sizes", [(50, 16, [16, 2]), (48, 16, [16]), (5, 16, [5])])
def test_the_shapes_of_batches_are_known_beforehand(garments, n, batch_size, sizes):
    loader = data.BatchLoader(*garments("test", n), batch_size, resize=30)
    assert loader.shapes == [(size, 1, 30, 30) for size in sizes]
    assert {tuple(X.shape) for X, _ in loader} == set(loader.shapes)
    assert len(list(loader)) == len(loader)


def test_each_pass_has_an_order_of_its_own_and_a_seed_decides_it(garments):
    images, labels = garments("train", 200)
    loader = data.BatchLoader(np.arange(200, dtype="uint8").reshape(200, 1, 1, 1), labels, 32,
                              shuffle=True)

    def order():
        return torch.cat([X.flatten() for X, _ in loader]).mul(255).round().int().tolist()

    torch.manual_seed(3)
    first, second = order(), order()
    torch.manual_seed(3)
    assert order() == first
    assert first != second and sorted(first) == sorted(second) == list(range(200))


def test_images_with_colours(garments):
    images = np.random.randint(0, 256, (4, 28, 28, 3)).astype("uint8")
    X, _ = next(iter(data.BatchLoader(images, np.arange(4), 4)))
    np.testing.assert_array_equal(X, images.transpose(0, 3, 1, 2).astype("float32") / 255)


def test_load_data_fashion_mnist_takes_the_books_arguments(garments, monkeypatch):
    monkeypatch.setattr(data, "load_image_set", lambda name, split, root: garments(split, 20))
    train_iter, test_iter = torch_edition.load_data_fashion_mnist(8, resize=64)
    assert (train_iter.shuffle, test_iter.shuffle) == (True, False)
    assert next(iter(train_iter))[0].shape == (8, 1, 64, 64)


# ------------------------------------------------------------------ loop


class Small(torch.nn.Sequential):
    """A net that learns something from few images in no time."""

    def __init__(self, classes=10):
        super().__init__(torch.nn.Conv2d(1, 8, 5, 4), torch.nn.ReLU(), torch.nn.Dropout(0.1),
                         torch.nn.Conv2d(8, classes, 3), torch.nn.AdaptiveAvgPool2d(1),
                         torch.nn.Flatten())


@pytest.fixture
def iterators(garments):
    return (data.BatchLoader(*garments("train", 600), 32, shuffle=True),
            data.BatchLoader(*garments("test", 200), 32))


def test_train_ch6_is_a_plain_pytorch_loop(iterators, capsys):
    """Against a loop written down from PyTorch's tutorials, which waits after every batch."""
    train_iter, test_iter = iterators
    torch.manual_seed(1)
    ours = Small()
    history = loop.train_ch6(ours, train_iter, test_iter, 3, 0.5, "cpu")
    out = capsys.readouterr().out

    torch.manual_seed(1)
    theirs = Small()
    net.init_weights(theirs)
    optimizer, loss = torch.optim.SGD(theirs.parameters(), lr=0.5), torch.nn.CrossEntropyLoss()
    for record in history:
        theirs.train()
        total, right, images = 0.0, 0, 0
        for X, y in train_iter:
            scores = theirs(X)
            optimizer.zero_grad()
            l = loss(scores, y)
            l.backward()
            optimizer.step()
            total += l.item() * len(y)
            right += sum(int(row.argmax()) == int(label) for row, label in zip(scores, y))
            images += len(y)
        theirs.eval()
        hits = [theirs(X).argmax(1).eq(y).float() for X, y in test_iter]
        assert record.loss == pytest.approx(total / images, rel=1e-5)
        assert record.train_acc == right / images
        assert record.test_acc == pytest.approx(torch.cat(hits).mean().item(), abs=1e-6)
    for one, other in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(one, other, atol=1e-6)
    assert history[-1].loss < 2.2 and history[-1].train_acc > 0.2  # something was learnt

    lines = out.splitlines(keepends=True)
    assert lines[0] == "training on cpu\n"
    assert [str(record) for record in parse_log(out)] == [str(record) for record in history]
    assert LAST_LINES.fullmatch("".join(lines[4:]))
    assert lines[4].startswith(f"loss {history[-1].loss:.3f}, ")
    assert lines[5].endswith(" on cpu\n")


def test_the_speed_is_that_of_training_alone(iterators, capsys, monkeypatch):
    """600 images an epoch in 19 steps that seem to take a second each; evaluation takes long."""
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])

    def step(self, X, y):
        now[0] += 1

    def evaluate(*args):
        now[0] += 1000
        return 0.5

    monkeypatch.setattr(loop.TrainingStep, "__call__", step)
    monkeypatch.setattr(loop, "evaluate_accuracy", evaluate)
    history = loop.train_ch6(Small(), *iterators, 2, 0.1, "cpu")
    assert "31.6 examples/sec on cpu\n" in capsys.readouterr().out
    assert [record.seconds for record in history] == [1019, 1019]


def test_the_host_does_not_wait_inside_an_epoch(iterators, monkeypatch):
    events = []

    def spy(owner, name, event):
        original = getattr(owner, name)

        def noting(*args, **kwargs):
            events.append(event)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, noting)

    for name in ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__",
                 "__index__", "__array__"):
        spy(torch.Tensor, name, "wait")
    spy(torch.cuda, "synchronize", "wait")
    spy(loop.TrainingStep, "run", "step")
    spy(loop, "count_correct", "count")
    loop.train_ch6(Small(), *iterators, 2, 0.1, "cpu")
    steps, evaluations = 19 * ["step", "count"], 7 * ["count"]
    assert events == 2 * [*steps, "wait", *evaluations, "wait"]


def test_evaluation_leaves_the_net_in_its_mode_and_dropout_off(iterators):
    module, test_iter = Small(), iterators[1]
    for training in (True, False):
        module.train(training)
        assert len({loop.evaluate_accuracy(module, test_iter) for _ in range(3)}) == 1
        assert module.training is training
    assert loop.evaluate_accuracy(module, []) == 0


def test_bfloat16_is_the_convolutions_alone(iterators):
    seen, module = set(), Small()
    for layer in module:
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda layer, X, Y: seen.add(Y.dtype))
    history = loop.train_ch6(module, *iterators, 1, 0.1, "cpu", "bfloat16")
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert 2 < history[0].loss < 2.6


def test_a_replayed_step_is_the_step(iterators, monkeypatch):
    """All of the recording but CUDA's own part, which is put in place by calling the step."""
    parameters = []
    for records in (False, True):
        torch.manual_seed(4)
        module = Small()
        step = loop.TrainingStep(module, 0.1, torch.device("cpu"), mode="graph")
        step.records = records
        monkeypatch.setattr(step, "record", lambda X, y, step=step: lambda: step.run(X, y))
        step.prepare(iterators[0].shapes)
        for X, y in iterators[0]:
            step(X, y)
        assert step.collect(1)[1] > 0
        assert step.collect(1) == (0, 0)  # the sums start anew
        parameters.append(list(module.parameters()))
    assert sorted(len(shape) and shape[0] for shape in step.recorded) == [24, 32]
    for one, other in zip(*parameters):
        assert torch.equal(one, other)


def test_preparing_leaves_no_trace(iterators):
    module = Small()
    before, random = [p.clone() for p in module.parameters()], torch.get_rng_state()
    step = loop.TrainingStep(module, 0.1, torch.device("cpu"), mode="graph")
    step.prepare(iterators[0].shapes)
    assert any(p.grad is not None for p in module.parameters())  # it did something
    assert all(map(torch.equal, before, module.parameters()))
    assert torch.equal(random, torch.get_rng_state())
    assert not step.sums.any()


@pytest.mark.parametrize("mode, gpu, compiled, recorded", [
    ("auto", False, 0, False), ("auto", True, 0, True), ("eager", True, 0, False),
    ("graph", True, 0, True), ("compile", False, 1, False), ("compile", True, 1, True),
])
def test_modes(monkeypatch, mode, gpu, compiled, recorded):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: calls.append(dynamic) or module)
    monkeypatch.setattr(torch, "zeros", lambda *size, device, dtype: None)  # there may be no GPU
    step = loop.TrainingStep(Small(), 0.1, torch.device("cuda" if gpu else "cpu"), mode=mode)
    assert calls == compiled * [False]
    assert step.records is recorded


def test_divergence_is_told_at_the_end_of_the_epoch(iterators):
    with pytest.raises(loop.NonFiniteLoss, match="the loss stopped being finite in epoch 1"):
        loop.train_ch6(Small(), *iterators, 2, 1e38, "cpu")
    step = loop.TrainingStep(Small(), 0.1, torch.device("cpu"))
    with torch.no_grad():
        step.parameters[0][0] = float("inf")  # after the last step, no loss shows it
    with pytest.raises(loop.NonFiniteLoss, match="a parameter stopped being finite in epoch 7"):
        step.collect(7)


# ------------------------------------------------------------------ devices


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(device, "gpu_problem", lambda index: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    names = ["auto", "cpu", "cpu(0)", " gpu", "gpu(1)", "cuda", "cuda:2"]
    assert [str(device.parse_device(name)) for name in names] == \
        ["cpu", "cpu", "cpu", "cuda:0", "cuda:1", "cuda:0", "cuda:2"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(device.parse_device("auto")) == str(torch_edition.try_gpu()) == "cuda:0"
    assert str(torch_edition.try_gpu(2)) == "cpu"
    for name in ("tpu", "gpu(", "gpu(0),gpu(1)", "cuda:-1", ""):
        with pytest.raises(InputError, match="is not a device"):
            device.parse_device(name)


@pytest.mark.parametrize("built, capabilities, count, index, words", [
    (False, None, 0, 0, r"gpu\(0\) cannot be used: this is a build of PyTorch for the CPU"),
    (True, None, 0, 0, "no NVIDIA driver"),
    (True, [], 0, 0, "finds no GPU"),
    (True, [(9, 0)], 1, 3, r"gpu\(3\) cannot be used: PyTorch finds 1 GPU\(s\)"),
    (True, [(9, 0)], 1, 0, "CUDA driver version is insufficient"),
])
def test_why_a_gpu_cannot_be_used(monkeypatch, built, capabilities, count, index, words):
    def refuse(*args, **options):
        raise RuntimeError("CUDA driver version is insufficient\nCompile with this and that")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(device, "device_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "ones", refuse)
    with pytest.raises(InputError, match=words) as error:
        device.parse_device(f"gpu({index})")
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------ command

SMALL = ["--resize", "67", "--batch-size", "20", "--dataset", "fashion-mnist", "--lr", "0.2",
         "--no-progress"]


@pytest.fixture
def quick(garments, monkeypatch):
    """Few images, a small net, no picture."""
    from nin_gluon import plots

    monkeypatch.setattr(data, "load_image_set",
                        lambda name, split, root=None: garments(split, 90))
    monkeypatch.setattr(net, "nin", lambda in_channels: Small())
    monkeypatch.setattr(plots, "draw_curves", lambda *args: None)
    monkeypatch.setattr(plots, "save", lambda *args: None)


def outcome(run):
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc) for r in read_history(run / "history.jsonl")]
    return log, torch.load(run / "model.pt", weights_only=True)


def assert_same_outcome(one, other):
    (log, parameters), (other_log, other_parameters) = outcome(one), outcome(other)
    assert log == other_log and len(log) == 3
    assert list(parameters) == list(other_parameters)
    assert all(map(torch.equal, parameters.values(), other_parameters.values()))


def test_a_run_prints_its_lines_and_fills_its_folder(garments, monkeypatch, tmp_path, capsys):
    """With the chapter's net and all that belongs to a run."""
    monkeypatch.setattr(data, "load_image_set",
                        lambda name, split, root=None: garments(split, 40))
    run = tmp_path / "run 图"
    assert torch_edition.main([*SMALL, "--epochs", "2", "--out", str(run), "--ctx", "cpu"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines(keepends=True)
    assert lines[0] == "training on cpu\n"
    assert len(parse_log(out)) == 2
    assert LAST_LINES.fullmatch("".join(lines[3:5]))
    assert lines[5:] == [f"run folder: {run}\n", f"picture: {run / 'curves.png'}\n"]
    assert {path.name for path in run.iterdir()} >= {"config.json", "history.jsonl", "curves.png",
                                                     "model.pt", "checkpoint.pt"}
    config = json.loads((run / "config.json").read_text())
    assert config["machine"]["torch"] == torch.__version__
    module = net.nin()
    module.load_state_dict(torch.load(run / "model.pt", weights_only=True))
    test_iter = data.BatchLoader(*garments("test", 40), 20, resize=67)
    assert loop.evaluate_accuracy(module, test_iter) == \
        read_history(run / "history.jsonl")[-1].test_acc


def test_the_recipe_is_the_published_one():
    args = torch_edition.build_parser().parse_args(["--out", "nowhere"])
    config = torch_edition.plan_run(args)[1]
    assert {name: config[name] for name in ("epochs", "batch_size", "lr", "resize", "dtype")} == \
        {"epochs": 10, "batch_size": 128, "lr": 0.1, "resize": 224, "dtype": "float32"}


@pytest.mark.parametrize("step, signum", [(2, signal.SIGINT), (5, signal.SIGTERM),
                                          (7, signal.SIGINT), (15, signal.SIGTERM)])
def test_stopped_and_resumed_is_as_never_stopped(quick, tmp_path, monkeypatch, capsys, step,
                                                 signum):
    """Five steps an epoch: in the first, at its end, in the second, at the very end."""
    options = [*SMALL, "--epochs", "3"]
    assert torch_edition.main([*options, "--out", str(tmp_path / "whole")]) == 0
    original, calls = loop.TrainingStep.run, []

    def stopping(self, X, y):
        original(self, X, y)
        calls.append(1)
        if len(calls) == step:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(loop.TrainingStep, "run", stopping)
    parts = tmp_path / "parts"
    assert torch_edition.main([*options, "--out", str(parts)]) == 128 + signum
    error = capsys.readouterr().err
    assert f"stopped in epoch {-(-step // 5)}; go on with: " in error
    assert f"-m nin_gluon.torch_edition --resume {parts}\n" in error
    torch.manual_seed(99)  # nothing that was left behind in the process may matter
    assert torch_edition.main(["--resume", str(parts)]) == 0
    out = capsys.readouterr().out
    assert [record.epoch for record in parse_log(out)] == [1, 2, 3]
    assert LAST_LINES.search(out)
    assert_same_outcome(tmp_path / "whole", parts)


def test_a_finished_run_can_be_given_more_epochs_but_not_fewer(quick, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert torch_edition.main([*SMALL, "--epochs", "3", "--out", str(whole)]) == 0
    assert torch_edition.main([*SMALL, "--epochs", "2", "--out", str(parts)]) == 0
    assert torch_edition.main(["--resume", str(parts), "--epochs", "3"]) == 0
    assert_same_outcome(whole, parts)
    assert torch_edition.main(["--resume", str(parts), "--epochs", "1"]) == 2
    assert "has 3 epochs" in capsys.readouterr().err


def test_a_run_stopped_while_it_saved_is_made_whole(quick, tmp_path):
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL, "--epochs", "3", "--out", str(run)]) == 0
    wanted = outcome(run)
    for name in ("model.pt", "history.jsonl"):  # checkpoint.pt is the first to be written
        (run / name).unlink()
    assert torch_edition.main(["--resume", str(run)]) == 0
    assert outcome(run)[0] == wanted[0]


def test_one_seed_gives_one_run_and_another_gives_another(quick, tmp_path):
    for name, seed in (("a", "5"), ("b", "5"), ("c", str(10**12))):
        assert torch_edition.main([*SMALL, "--epochs", "3", "--seed", seed,
                                   "--out", str(tmp_path / name)]) == 0
    assert_same_outcome(tmp_path / "a", tmp_path / "b")
    assert outcome(tmp_path / "a")[0] != outcome(tmp_path / "c")[0]


def test_divergence_is_status_1_and_names_what_is_left(quick, tmp_path, capsys):
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL[:-3], "--lr", "1e38", "--out", str(run)]) == 1
    error = capsys.readouterr().err
    assert "stopped being finite in epoch 1; no epoch was finished. Try a lower --lr" in error
    assert not (run / "model.pt").exists()


def refused(options, capsys):
    try:
        status = torch_edition.main(options)
    except SystemExit as end:
        status = end.code
    out, error = capsys.readouterr()
    assert status == 2
    assert error.count("\n") == 1 and out == ""
    return error


@pytest.mark.parametrize("options, words", [
    (["--epochs", "0"], "argument --epochs: '0' is not a whole number above 0"),
    (["--dtype", "float16"], "invalid choice: 'float16'"),
    (["--resize", "66"], "--resize 66 is too small for this net"),
    (["--ctx", "tpu"], "'tpu' is not a device"),
    (["--mode", "graph", "--ctx", "cpu"], "--mode graph is for GPUs"),
    (["--dataset", "mnist"], "unknown data set 'mnist'"),
    (["--resume", "no/such/run"], "is not a run folder"),
])
def test_wrong_requests_get_one_line_and_status_2(options, words, capsys):
    assert words in refused(options, capsys)


def test_resume_keeps_to_the_runs_settings(quick, tmp_path, capsys):
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL, "--epochs", "1", "--out", str(run)]) == 0
    capsys.readouterr()
    assert "(lr is 0.2); leave out --lr" in refused(["--resume", str(run), "--lr", "1"], capsys)
    assert "leave out --out" in refused(["--resume", str(run), "--out", "x"], capsys)
    assert "is there already" in refused([*SMALL, "--out", str(run)], capsys)
    (run / "checkpoint.pt").write_bytes(b"PK not a checkpoint")
    assert f"{run / 'checkpoint.pt'} cannot be read" in refused(["--resume", str(run)], capsys)
    (run / "config.json").write_text('{"preset": "textbook"}')  # of the other command
    assert "is not that of a run of nin_gluon.torch_edition" in \
        refused(["--resume", str(run)], capsys)


def test_it_runs_where_mxnet_is_not_installed(request, tmp_path):
    """`pip install nin_gluon[torch]` alone must do."""
    code = ("import sys, importlib.abc\n"
            "class NoMXNet(importlib.abc.MetaPathFinder):\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.partition('.')[0] == 'mxnet': raise ModuleNotFoundError(name)\n"
            "sys.meta_path.insert(0, NoMXNet())\n"
            "from nin_gluon.torch_edition import main\n"
            "sys.exit(main(sys.argv[1:]))")
    run = subprocess.run([sys.executable, "-c", code, "--dataset", request.config.dataset,
                          "--resize", "67", "--limit", "32", "--epochs", "1",
                          "--out", str(tmp_path / "run")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert LAST_LINES.search(run.stdout)
