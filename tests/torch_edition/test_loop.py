"""The PyTorch edition's loop and its step, against a loop as PyTorch's tutorials have it."""

import pytest

from nin_gluon.experiments import published
from nin_gluon.training.history import parse_log
from tests.torch_edition.small import LAST_LINES, Small

torch = pytest.importorskip("torch")

from nin_gluon.torch_edition import loop, net  # noqa: E402
from nin_gluon.torch_edition.engine import EditionEngine  # noqa: E402
from nin_gluon.training import loop as shared  # noqa: E402
from nin_gluon.training import tally, torch_step  # noqa: E402


def test_the_last_lines_have_the_published_form():
    assert LAST_LINES.fullmatch(published.PYTORCH_LOG_TEXT)


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
    now, update = [0.0], EditionEngine.update
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])

    def step(self, *inputs):
        now[0] += 1
        return update(self, *inputs)

    def evaluate(*args):
        now[0] += 1000
        return shared.Evaluation(0.5, (), ())

    monkeypatch.setattr(EditionEngine, "update", step)
    monkeypatch.setattr(shared, "evaluate", evaluate)
    history = loop.train_ch6(Small(), *iterators, 2, 0.1, "cpu")
    assert "31.6 examples/sec on cpu\n" in capsys.readouterr().out
    assert [record.seconds for record in history] == [1019, 1019]
    assert [record.training_seconds for record in history] == [19, 19]


def test_the_host_does_not_wait_inside_an_epoch(iterators, monkeypatch):
    events = []

    def spy(owner, name, event):
        original = getattr(owner, name)

        def noting(*args, **kwargs):
            if [event] != events[-1:] or event != "wait":  # one after another are one
                events.append(event)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, noting)

    for name in ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__",
                 "__index__", "__array__"):
        spy(torch.Tensor, name, "wait")
    spy(torch.cuda, "synchronize", "wait")
    spy(EditionEngine, "update", "step")
    spy(EditionEngine, "count", "count")
    loop.train_ch6(Small(), *iterators, 2, 0.1, "cpu")
    an_epoch, evaluations = 19 * ["step"], 7 * ["count"]
    assert events == 2 * [*an_epoch, "wait", *evaluations, "wait"]


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
    results = []

    def capture(call, device):
        result = call().clone()
        return lambda: result.copy_(call()), result

    monkeypatch.setattr(torch_step, "capture", capture)
    for records in (False, True):
        torch.manual_seed(4)
        module = Small()
        engine = EditionEngine(module, torch.device("cpu"), 0.1)
        if records:
            engine.run_train_step = torch_step.Replay(engine.update, engine.device,
                                                      list(module.parameters()))
        else:  # a recorded step reads its learning rate from a tensor
            engine.run_train_step = lambda X, y, rate, update=engine.update: update(
                X, y, torch.tensor(rate))
        results.append((engine.fetch([engine.train_step(X, y) for X, y in iterators[0]]),
                        list(module.parameters())))
    assert sorted(shape[0] for shape in engine.run_train_step.recorded) == [24, 32]
    (sums, parameters), (others, other_parameters) = results
    assert sums[:, 0, 2].sum() == 600 and (sums == others).all()
    for one, other in zip(parameters, other_parameters):
        assert torch.equal(one, other)


@pytest.mark.parametrize("mode, gpu, wanted", [
    ("auto", False, "eager"), ("auto", True, "graph"), ("compile", False, "compile"),
])
def test_the_mode_is_chosen_as_for_other_runs(iterators, monkeypatch, mode, gpu, wanted):
    chosen = []

    class Engine(EditionEngine):
        def __init__(self, net, device, lr, dtype, mode):
            chosen.append(mode)
            super().__init__(net, torch.device("cpu"), lr, dtype)

    monkeypatch.setattr(loop, "EditionEngine", Engine)
    monkeypatch.setattr(Small, "to", lambda self, *args, **options: self)  # there may be no GPU
    loop.train_ch6(Small(), *iterators, 0, 0.1, "cuda" if gpu else "cpu", mode=mode)
    assert chosen == [wanted]


def test_divergence_is_told_at_the_end_of_the_epoch(iterators):
    with pytest.raises(loop.NonFiniteLoss, match="the loss became (nan|inf) in epoch 1, step"):
        loop.train_ch6(Small(), *iterators, 2, 1e38, "cpu")
    engine = EditionEngine(Small(), torch.device("cpu"), 0.1)
    with torch.no_grad():
        engine.net[0].weight[0] = float("inf")  # after the last step, no loss shows it
    with pytest.raises(loop.NonFiniteLoss, match="a parameter stopped being finite in epoch 7"):
        tally.Tally(7).collect(engine, parameters=True)
