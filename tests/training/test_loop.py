"""The loop: what it computes, that it does not wait, and that it notices divergence."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon.data.loader import BatchLoader
from nin_gluon.training import gluon_engine, loop
from nin_gluon.training.gluon_engine import GluonEngine
from nin_gluon.training.history import EpochRecord, parse_log
from nin_gluon.training.hooks import Callback, Hooks


def small_net(ctx=None):
    """A convolutional net of a few parameters, with dropout off so that devices agree."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, 2, activation="relu"), nn.GlobalAvgPool2D(), nn.Dense(10))
    net.initialize(mx.init.Xavier(), ctx=ctx)
    net.hybridize()
    return net


def iterators(garments, train=100, test=50, batch_size=16):
    return (BatchLoader(*garments("train", train), batch_size, shuffle=True),
            BatchLoader(*garments("test", test), batch_size))


def trainer_of(net, lr=0.1, momentum=0.9):
    return gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": lr, "momentum": momentum})


def test_losses_and_accuracies_are_means_over_images_not_batches(garments, capsys):
    net = small_net()
    train_iter, test_iter = iterators(garments)  # 100 = 6 batches of 16 and one of 4
    X, y = (nd.concat(*parts, dim=0) for parts in zip(*train_iter))
    scores = net(X).log_softmax().asnumpy()
    labels = y.asnumpy()
    history = loop.train_ch5(net, train_iter, test_iter, 16, trainer_of(net, lr=0), mx.cpu(), 1)
    record = history[0]
    assert record.loss == pytest.approx(-scores[np.arange(100), labels].mean(), rel=1e-6)
    assert record.train_acc == (scores.argmax(1) == labels).mean()
    X, y = (nd.concat(*parts, dim=0) for parts in zip(*test_iter))
    assert record.test_acc == (net(X).asnumpy().argmax(1) == y.asnumpy()).mean()
    assert loop.evaluate_accuracy(test_iter, net, mx.cpu()) == record.test_acc
    printed = capsys.readouterr().out
    assert printed.startswith("training on cpu(0)\nepoch 1, loss ")
    assert str(parse_log(printed)[0]) == str(record)


def test_it_learns(garments):
    net = nn.Dense(10)
    net.initialize()
    train_iter, test_iter = iterators(garments)
    history = loop.train_ch5(net, train_iter, test_iter, 16, trainer_of(net, 0.02), mx.cpu(), 8)
    assert history[-1].loss < history[0].loss - 0.5
    assert history[-1].train_acc > 0.7


def test_two_devices_compute_what_one_does(garments):
    results = []
    for ctx in (mx.cpu(), [mx.cpu(0), mx.cpu(1)]):
        mx.random.seed(1)
        np.random.seed(1)
        net = small_net(ctx)
        history = loop.train_ch5(net, *iterators(garments), 16, trainer_of(net), ctx, 3)
        results.append([(r.loss, r.train_acc, r.test_acc) for r in history])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4)


class Waits:
    """Counts the calls that make the host wait for the device."""

    def __init__(self, monkeypatch):
        self.count = 0
        for name in ("asnumpy", "asscalar", "wait_to_read"):
            self.watch(monkeypatch, mx.nd.NDArray, name)
        self.watch(monkeypatch, mx.nd, "waitall")

    def watch(self, monkeypatch, owner, name):
        original = getattr(owner, name)

        def counted(*args, **kwargs):
            self.count += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)


def test_the_host_does_not_wait_within_an_epoch(garments, monkeypatch):
    waits = {}
    for images in (64, 160):
        net = small_net()
        net(nd.zeros((1, 1, 28, 28))).wait_to_read()
        parts = iterators(garments, train=images, batch_size=4)
        with monkeypatch.context() as patch:
            counter = Waits(patch)
            loop.train_ch5(net, *parts, 4, trainer_of(net), mx.cpu(), 1)
            waits[images] = counter.count
    # The same few at the epoch's end, however many batches there were.
    assert waits[64] == waits[160] <= 8


def test_queued_batches_do_not_pile_up(garments, monkeypatch):
    monkeypatch.setitem(gluon_engine.MAX_QUEUED_BYTES, "cpu", 3 * 4 * 28 * 28 * 4)
    net = small_net()
    parts = iterators(garments, train=160, batch_size=4)
    with monkeypatch.context() as patch:
        counter = Waits(patch)
        loop.train_ch5(net, *parts, 4, trainer_of(net), mx.cpu(), 1)
    assert 10 <= counter.count <= 25  # 40 training and 13 test batches, a wait for every fourth


def test_a_loss_that_stops_being_finite_is_named_by_epoch_and_step(garments):
    net = small_net()

    def broken():
        for i, (X, y) in enumerate(iterators(garments)[0], 1):
            yield (X * 1e38 if i == 3 else X), y

    with pytest.raises(loop.NonFiniteLoss, match="the loss became nan in epoch 1, step 3"):
        loop.train_ch5(net, broken(), iterators(garments)[1], 16, trainer_of(net), mx.cpu(), 1)


def test_parameters_that_stop_being_finite_are_noticed_though_the_loss_looks_well(garments):
    net = nin_gluon.nin()
    net.initialize()
    net(nd.zeros((1, 1, 67, 67)))
    weight = net[4][0].weight
    weight.set_data(weight.data() * float("nan"))
    engine, tally = GluonEngine(net, mx.cpu()), loop.Tally()
    y_hat = net(nd.ones((2, 1, 67, 67)))
    y = nd.array([0, 1])
    tally.add(gluon_engine.sums_of([gluon.loss.SoftmaxCrossEntropyLoss()(y_hat, y)], [y_hat], [y]))
    tally.collect(engine)
    assert tally.loss == pytest.approx(np.log(10), abs=1e-5)  # ReLU has turned NaN into 0
    with pytest.raises(loop.NonFiniteLoss, match="parameter .* epoch 1, by step 1"):
        tally.collect(engine, parameters=True)


@pytest.mark.parametrize("bad", [None, 0, 130])
def test_the_parameters_of_a_large_net_are_all_looked_at(bad):
    net = nn.HybridSequential()
    net.add(*(nn.Dense(1, in_units=1) for _ in range(131)))  # 262 arrays
    net.initialize()
    if bad is not None:
        net[bad].weight.set_data(nd.array([[float("inf")]]))
    assert GluonEngine(net, mx.cpu()).parameters_are_finite() == (bad is None)


def test_with_a_frozen_layer_the_queue_is_kept_short_too(garments, monkeypatch):
    """What is waited for must be a result of the step."""
    net = small_net()
    net(nd.zeros((1, 1, 28, 28)))
    net[0].collect_params().setattr("grad_req", "null")
    trained = [p.data() for p in net[2].collect_params().values()]
    waited_for = []
    monkeypatch.setattr(gluon_engine.Queue, "add",
                        lambda self, X, result: waited_for.append(result))
    train_iter, _ = iterators(garments, train=32)
    loop.train_ch5(net, train_iter, [], 16, trainer_of(net), mx.cpu(), 1)
    assert len(waited_for) == 2
    assert all(any(result is parameter for parameter in trained) for result in waited_for)


@pytest.fixture
def scaled_trainer(monkeypatch):
    """As `trainer_of`, made ready for float16. (The scaling itself is the same in float32.)"""
    from mxnet.contrib import amp

    monkeypatch.setattr(amp.amp, "_amp_initialized", True)

    def make(net):
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1},
                                update_on_kvstore=False)
        amp.init_trainer(trainer)
        return trainer

    return make


def test_scaling_the_loss_changes_neither_the_steps_nor_the_log(garments, scaled_trainer):
    results = []
    for make in (scaled_trainer, lambda net: trainer_of(net, momentum=0)):
        mx.random.seed(1)
        np.random.seed(1)
        net = small_net()
        trainer = make(net)
        record = loop.train_ch5(net, *iterators(garments), 16, trainer, mx.cpu(), 1)[0]
        results.append((record.loss, record.train_acc, record.test_acc,
                        net[0].weight.data().asnumpy().tolist()))
    # The factor is a power of two.
    assert results[0] == results[1]


def test_a_step_whose_scaled_gradients_overflow_is_left_out(garments, scaled_trainer):
    net = small_net()
    net(nd.zeros((1, 1, 28, 28))).wait_to_read()
    trainer = scaled_trainer(net)
    before = net[0].weight.data().asnumpy()
    scaler = trainer._amp_loss_scaler
    scaler._loss_scale = scaler._next_loss_scale = 2.0**140  # beyond float32
    parts = iterators(garments, train=32)  # two steps
    loop.train_ch5(net, *parts, 16, trainer, mx.cpu(), 1)
    assert np.array_equal(net[0].weight.data().asnumpy(), before)
    assert scaler._next_loss_scale == 2.0**138


def test_epochs_done_before_are_printed_and_not_run_again(garments, capsys):
    net = small_net()
    before = EpochRecord(1, 2.0, 0.25, 0.5, 3.0)
    history = loop.train_ch5(net, *iterators(garments), 16, trainer_of(net), mx.cpu(), 2,
                             hooks=Hooks(history=[before]))
    assert history[0] == before
    assert [r.epoch for r in history] == [1, 2]
    assert capsys.readouterr().out.splitlines()[1] == str(before)


def test_callbacks_are_called_after_every_step_and_epoch(garments):
    calls = []

    class Calls(Callback):
        def on_train_batch_end(self, tally):
            calls.append((tally.epoch, tally.step))

        def on_test_batch_end(self):
            calls.append("test batch")

        def on_epoch_end(self, history):
            calls.append(len(history))

    net = small_net()
    loop.train_ch5(net, *iterators(garments, 48, 20), 16, trainer_of(net), mx.cpu(), 2,
                   Hooks(callbacks=[Calls()]))
    epochs = [[(e, 1), (e, 2), (e, 3), "test batch", "test batch", e] for e in (1, 2)]
    assert calls == epochs[0] + epochs[1]


def test_labels_in_a_column_count_once(garments):
    images, labels = garments("test", 20)
    X = nd.array(images.transpose(0, 3, 1, 2)).astype("float32") / 255
    net = small_net()
    flat = loop.evaluate_accuracy([(X, nd.array(labels))], net, mx.cpu())
    assert loop.evaluate_accuracy([(X, nd.array(labels).reshape((-1, 1)))], net, mx.cpu()) == flat


def test_accuracy_of_nothing_is_zero():
    assert loop.evaluate_accuracy([], small_net(), mx.cpu()) == 0
