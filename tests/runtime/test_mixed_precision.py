"""float32, bfloat16 and float16."""

import json
import os
import re

import mxnet as mx
import numpy as np
import pytest

from nin_gluon import InputError
from nin_gluon.runtime import enable_amx, mixed_precision, processors, use_dtype
from nin_gluon.runtime.processors import has_bfloat16
from tests import slim_nin
from tests.cuda_stub import output

bfloat16_cpu = pytest.mark.skipif(not has_bfloat16(),
                                  reason="this CPU has no bfloat16 arithmetic")


def test_float32_needs_nothing(monkeypatch):
    monkeypatch.setattr(processors, "cpu_flags", set)
    assert use_dtype("float32", [mx.cpu(), mx.gpu()]) is None


def test_bfloat16_on_a_cpu_without_it(monkeypatch):
    monkeypatch.setattr(processors, "cpu_flags", lambda: {"avx2", "avx512f"})
    with pytest.raises(InputError, match="neither avx512_bf16 nor amx_bf16"):
        use_dtype("bfloat16", [mx.cpu()])


def test_bfloat16_on_a_gpu(monkeypatch):
    monkeypatch.setattr(mixed_precision, "cpu_flags", lambda: {"avx512_bf16", "amx_bf16"})
    with pytest.raises(InputError, match="bfloat16 is for CPUs"):
        use_dtype("bfloat16", [mx.gpu()])


def test_a_dtype_that_is_not_known():
    with pytest.raises(InputError, match="'int8' is not known; use float32, bfloat16 or float16"):
        use_dtype("int8", [mx.cpu()])


def test_float16_on_a_cpu():
    with pytest.raises(InputError, match="float16 is for GPUs .*; use --dtype bfloat16"):
        use_dtype("float16", [mx.cpu()])


def test_float16_on_a_gpu_is_mxnets_mixed_precision(monkeypatch):
    from mxnet.contrib import amp

    chosen = []
    monkeypatch.setattr(amp, "init", lambda target_dtype: chosen.append(target_dtype))
    use_dtype("float16", [mx.gpu(0), mx.gpu(1)])
    assert chosen == ["float16"]


# These nets are too small for more: the threads would mostly wait for one another.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}

# Prints whether Linux lets this process use the matrix units, and whether use_dtype leaves the
# variable behind that switches them on; saves the scores of a net in bfloat16; then trains. In a
# process of its own, for nothing leads back from bfloat16.
BFLOAT16 = """
import ctypes, json, os, sys
from nin_gluon import runtime
import mxnet as mx
if "amx_bf16" in runtime.cpu_flags():
    print("tiles granted:", ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0)
runtime.use_dtype("bfloat16", [mx.cpu()])
print("left behind:", os.environ.get("DNNL_MAX_CPU_ISA"))
from nin_gluon.models import nin
net = nin(classes=4)
net.load_parameters("net.params")
net.hybridize()
scores = net(mx.nd.load("x")[0])
print("dtype:", scores.dtype.__name__)
mx.nd.save("scores", scores.astype("float32"))
print("scores saved", flush=True)
from tests.runtime.test_mixed_precision import train_steps
with open("losses.json", "w") as file:
    json.dump(train_steps(), file)
"""


def make_scores(folder):
    """Save a net, images and their scores."""
    from nin_gluon.models import nin

    mx.random.seed(0)
    net = nin(classes=4)
    # Uniform weights above zero: no ReLU hides a difference, and all scores have one size.
    net.initialize(mx.init.Uniform(0.02))
    x = mx.nd.random.uniform(shape=(2, 1, 67, 67))
    net(x)
    for weight in net.collect_params(".*weight").values():
        weight.set_data(weight.data().abs())
    net.save_parameters(str(folder / "net.params"))
    mx.nd.save(str(folder / "x"), [x])
    mx.nd.save(str(folder / "expected"), [net(x)])


def train_steps():
    """The losses of six epochs of 10 steps of the chapter's net, slim: it learns more slowly."""
    from mxnet import autograd

    from nin_gluon import models
    from nin_gluon.data import load_data

    mx.random.seed(5)
    np.random.seed(5)
    with pytest.MonkeyPatch.context() as patch:
        slim_nin.slim("mxnet", setattr=patch.setattr)
        slim_nin.small_sample(train=320, setitem=patch.setitem)
        net = models.get_model("nin")
        train_iter, _ = load_data("sample", 32, 67)
    net.initialize(models.initializer("identity"))
    net.hybridize(static_alloc=True, static_shape=True)
    net(mx.nd.zeros((1, 1, 67, 67))).wait_to_read()
    forward = models.optimize_for_training(net)
    trainer = mx.gluon.Trainer(list(net.collect_params().values()), "sgd",
                               {"learning_rate": 0.02, "momentum": 0.9})
    loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    losses = []
    for _ in range(6):
        for X, y in train_iter:
            with autograd.record():
                l = loss(forward(X), y)
            l.backward()
            trainer.step(32)
            losses.append(l.mean().asscalar().item())
    return losses


@pytest.fixture(scope="module")
def in_bfloat16(tmp_path_factory):
    """What a process that computes in bfloat16 printed, and the folder with what it saved."""
    folder = tmp_path_factory.mktemp("bfloat16")
    make_scores(folder)
    return output("-c", BFLOAT16, cwd=folder, DNNL_VERBOSE="1", **ONE_THREAD), folder


@bfloat16_cpu
def test_bfloat16_scores_are_close_to_float32_scores(in_bfloat16):
    log, folder = in_bfloat16
    log, _, _ = log.partition("scores saved")
    scores, expected = (mx.nd.load(str(folder / name))[0].asnumpy()
                        for name in ("scores", "expected"))
    difference = abs(scores - expected).max() / abs(expected).max()
    assert 0 < difference < 0.05  # none at all would mean float32 arithmetic
    assert "left behind: None" in log
    kernels = [line for line in log.splitlines()
               if re.search(r",exec,cpu,convolution,.*src_bf16", line)]
    assert len(kernels) == 12
    if "tiles granted: True" in log:
        assert any("amx_bf16" in line for line in kernels)


@bfloat16_cpu
def test_bfloat16_starts_as_float32_does_and_learns_alike(in_bfloat16):
    single = np.array(train_steps())
    half = np.array(json.loads((in_bfloat16[1] / "losses.json").read_text()))
    assert len(single) == len(half) == 60
    assert 0 < np.abs(half / single - 1)[:5].max() < 0.01
    assert np.abs(half - single).mean() < 0.15
    for losses in (single, half):
        assert losses[-5:].mean() < losses[:5].mean() - 0.5


def test_the_users_choice_of_kernels_stays(monkeypatch):
    monkeypatch.setattr(mixed_precision, "cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE_BF16")
    enable_amx()
    assert os.environ["DNNL_MAX_CPU_ISA"] == "AVX512_CORE_BF16"
