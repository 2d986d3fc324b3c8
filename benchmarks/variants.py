"""What is compared: each variant trains, and then evaluates, in a process of its own.

``python -m benchmarks.variants NAME JSON`` runs one and prints what it measured as JSON. All use
the same images and settings, and each its own net, loop and way to batches.
"""

import contextlib
import json
import os
import resource
import sys
import time

__all__ = ["CEILINGS", "VARIANTS", "Variant"]

LR = 0.1  # of SGD, as published


class Variant:
    """One row of the comparison.

    Parameters
    ----------
    title : str
    run : callable
        Of the settings (a dict); returns a dict of what it measured.
    dtype : {"float32", "bfloat16"}
    needs : str or tuple of str, optional
        The packages without which it is left out.
    slow : bool
        Left out of the quick comparison.
    """

    def __init__(self, title, run, dtype="float32", needs=(), slow=False, half_threads=False):
        self.title, self.run, self.dtype = title, run, dtype
        self.needs = (needs,) if isinstance(needs, str) else needs
        self.slow, self.half_threads = slow, half_threads


class Clock:
    """An iterator over batches that notes when it was asked for the first one.

    A loop trains from when it starts on the training iterator to when it starts on the test
    iterator, and no loop has to be touched to tell.
    """

    def __init__(self, data_iter):
        self.data_iter = data_iter

    def __len__(self):
        return len(self.data_iter)

    def __iter__(self):
        self.started, self.megabytes = time.perf_counter(), peak_memory()
        return iter(self.data_iter)


def peak_memory():
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measured(settings, train, test, evaluate):
    """The figures of a run: from its two clocks, and from evaluating once more, warmed up."""
    seconds, megabytes = test.started - train.started, test.megabytes
    started = time.perf_counter()
    evaluate()
    return {"train_images_per_s": settings["train"] / seconds,
            "eval_images_per_s": settings["test"] / (time.perf_counter() - started),
            "train_memory_mb": megabytes}


def images_and_labels(settings, split):
    """The first images of a split: (n, 28, 28, 1) uint8 and (n,)."""
    from nin_gluon.data.sets import load_image_set

    images, labels = load_image_set("fashion-mnist", split, settings["data_dir"])
    return images[:settings[split]], labels[:settings[split]]


def iterators(BatchLoader, settings):
    """This project's batches, in MXNet or in PyTorch: of a shuffled training set, of a test set."""
    return tuple(BatchLoader(*images_and_labels(settings, split), settings["batch_size"],
                             settings["resize"], shuffle=split == "train")
                 for split in ("train", "test"))


# ------------------------------------------------------------------ MXNet


def ours(dtype):
    """This project: net, loader and loop as the train command puts them together."""

    def run(settings):
        import nin_gluon  # isort: skip  (it prepares MXNet)
        import mxnet as mx
        from mxnet import gluon

        from nin_gluon import runtime
        from nin_gluon.data.loader import BatchLoader
        from nin_gluon.models import optimize_for_training
        from nin_gluon.training.gluon_engine import GluonEngine
        from nin_gluon.training.loop import evaluate_accuracy, fit

        ctx = [mx.cpu(i) for i in range(settings.get("devices", 1))]
        runtime.use_dtype(dtype, ctx)
        net = nin_gluon.nin()
        net.initialize(mx.init.Xavier(), ctx=ctx)
        net.hybridize(static_alloc=True, static_shape=True)
        batch_size, resize = settings["batch_size"], settings["resize"]
        train_iter, test_iter = iterators(BatchLoader, settings)
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": LR})

        def loop(train, test):
            fit(GluonEngine(net, ctx, trainer, batch_size,
                            optimize_for_training if dtype == "bfloat16" else None), train, test, 1)

        warm_up = BatchLoader(train_iter.images[:batch_size].asnumpy(),
                              train_iter.labels[:batch_size].asnumpy(), batch_size, resize)
        loop([batch for _ in range(2) for batch in warm_up], [])
        clocks = Clock(train_iter), Clock(test_iter)
        loop(*clocks)
        figures = measured(settings, *clocks, lambda: evaluate_accuracy(test_iter, net, ctx))

        mx.nd.waitall()
        started = time.perf_counter()
        for _ in train_iter:  # the same batches, and nothing done with them
            mx.nd.waitall()
        loading = time.perf_counter() - started
        training = settings["train"] / figures["train_images_per_s"]
        return {**figures, "share_waiting_for_data": loading / training}

    return run


def d2lzh_untouched(settings):
    """d2lzh's loader and loop, and the chapter's net as the chapter writes it."""
    import nin_gluon  # noqa: F401  # isort: skip  (so that both import on a NumPy of today)
    import d2lzh as d2l
    import mxnet as mx
    import numpy as np
    from mxnet import gluon, init
    from mxnet.gluon import nn

    class LocalFashionMNIST(gluon.data.ArrayDataset):
        """Stands in for Gluon's class, which downloads files that are not there any more."""

        def __init__(self, root, train):
            images, labels = images_and_labels(settings, "train" if train else "test")
            super().__init__(mx.nd.array(images, dtype="uint8"), labels.astype(np.int32))

    gluon.data.vision.FashionMNIST = LocalFashionMNIST

    def nin_block(num_channels, kernel_size, strides, padding):
        blk = nn.Sequential()
        blk.add(nn.Conv2D(num_channels, kernel_size, strides, padding, activation="relu"),
                nn.Conv2D(num_channels, kernel_size=1, activation="relu"),
                nn.Conv2D(num_channels, kernel_size=1, activation="relu"))
        return blk

    net = nn.Sequential()
    net.add(nin_block(96, 11, 4, 0), nn.MaxPool2D(3, 2), nin_block(256, 5, 1, 2),
            nn.MaxPool2D(3, 2), nin_block(384, 3, 1, 1), nn.MaxPool2D(3, 2), nn.Dropout(0.5),
            nin_block(10, 3, 1, 1), nn.GlobalAvgPool2D(), nn.Flatten())
    ctx, batch_size = d2l.try_gpu(), settings["batch_size"]
    net.initialize(init.Xavier(), ctx=ctx, force_reinit=True)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": LR})
    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size, resize=settings["resize"])
    warm_up = [next(iter(train_iter))]
    d2l.train_ch5(net, warm_up, warm_up, batch_size, trainer, ctx, 1)
    clocks = Clock(train_iter), Clock(test_iter)
    d2l.train_ch5(net, *clocks, batch_size, trainer, ctx, 1)
    figures = measured(settings, *clocks, lambda: d2l.evaluate_accuracy(test_iter, net, ctx))
    for loader in (train_iter, test_iter):
        loader._worker_pool.terminate()
    return figures


# ------------------------------------------------------------------ PyTorch


def pytorch(dtype, channels_last=False, compiled=False):
    """The PyTorch edition's net and loop, on batches that are made as fast as we know how."""

    def run(settings):
        import torch
        from torch import nn

        from nin_gluon.torch_edition.data import BatchLoader
        from nin_gluon.torch_edition.net import init_weights, nin

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        train_iter, test_iter = iterators(BatchLoader, settings)
        net = nin()
        init_weights(net)
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        net.to(memory_format=memory_format)
        forward = torch.compile(net) if compiled else net
        optimizer, loss = torch.optim.SGD(net.parameters(), lr=LR), nn.CrossEntropyLoss()

        def precision():
            if dtype == "float32":
                return contextlib.nullcontext()
            return torch.autocast("cpu", dtype=torch.bfloat16)

        def correct(y_hat, y):
            return float((y_hat.argmax(dim=1) == y).sum())

        def evaluate(batches):
            net.eval()
            metric = [0.0, 0]
            with torch.no_grad():
                for X, y in batches:
                    with precision():
                        y_hat = forward(arranged(X))
                    metric = [metric[0] + correct(y_hat, y), metric[1] + y.numel()]
            return metric[0] / max(metric[1], 1)

        def arranged(X):
            # The loader gives strides of channels last, which only some variants ask for.
            return X if channels_last else X.reshape(-1).reshape(X.shape)

        def loop(train, test):
            net.train()
            metric = [0.0, 0.0, 0]
            for X, y in train:
                optimizer.zero_grad()
                with precision():
                    y_hat = forward(arranged(X))
                    l = loss(y_hat, y)
                l.backward()
                optimizer.step()
                with torch.no_grad():
                    metric = [metric[0] + float(l * len(y)), metric[1] + correct(y_hat, y),
                              metric[2] + len(y)]
            return metric[0] / metric[2], metric[1] / metric[2], evaluate(test)

        warm_up = [next(iter(train_iter))]
        loop(2 * warm_up, [])
        clocks = Clock(train_iter), Clock(test_iter)
        loop(*clocks)
        return measured(settings, *clocks, lambda: evaluate(test_iter))

    return run


def torch_edition(dtype):
    """This project's PyTorch edition."""

    def run(settings):
        import torch

        from nin_gluon import torch_edition as d2l
        from nin_gluon.torch_edition.data import BatchLoader

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        train_iter, test_iter = iterators(BatchLoader, settings)
        net = d2l.nin()
        train, test = Clock(train_iter), Clock(test_iter)
        for clock, data_iter in ((train, train_iter), (test, test_iter)):
            clock.labels = data_iter.labels
        for _ in range(2):  # the first pass warms up
            d2l.train_ch6(net, train, test, 1, LR, "cpu", dtype)
        return measured(settings, train, test,
                        lambda: d2l.evaluate_accuracy(net, test_iter, dtype))

    return run


def ours_torch(dtype):
    """This project's PyTorch engine, as the train command puts it together."""

    def run(settings):
        import torch

        from nin_gluon.data.torch_loader import BatchLoader
        from nin_gluon.settings import TEXTBOOK
        from nin_gluon.training import torch_run
        from nin_gluon.training.loop import evaluate, fit
        from nin_gluon.training.run_folder import Environment, RunConfig
        from nin_gluon.training.torch_workers import TorchWorkers

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        batch_size = settings["batch_size"]
        recipe = TEXTBOOK.but(engine="torch", dataset="fashion-mnist", dtype=dtype,
                              batch_size=batch_size, resize=settings["resize"], limit=batch_size)
        warm_up = torch_run.prepare(
            RunConfig("textbook", recipe, Environment(data_dir=settings["data_dir"])),
            torch.device("cpu"), TorchWorkers())
        engine = warm_up.engine
        fit(engine, [batch for _ in range(2) for batch in warm_up.train_iter], [], 1)
        train_iter, test_iter = iterators(BatchLoader, settings)
        clocks = Clock(train_iter), Clock(test_iter)
        fit(engine, *clocks, 1)
        figures = measured(settings, *clocks, lambda: evaluate(engine, test_iter))

        started = time.perf_counter()
        for _ in train_iter:  # the same batches, and nothing done with them
            pass
        loading = time.perf_counter() - started
        training = settings["train"] / figures["train_images_per_s"]
        return {**figures, "share_waiting_for_data": loading / training}

    return run


# ------------------------------------------------------------------ runtimes for exported nets


def served(infer_of):
    """A runtime that only evaluates, on the chapter's net as ONNX and on this project's batches.

    `infer_of` makes of the model's bytes and a number of threads a function from X to scores.
    """

    def run(settings):
        import nin_gluon  # isort: skip  (it prepares MXNet)
        import mxnet as mx

        from nin_gluon.data.loader import BatchLoader
        from nin_gluon.exports.layers import gluon_layers
        from nin_gluon.exports.onnx_graph import onnx_model

        net, edge = nin_gluon.nin(), settings["resize"]
        net.initialize(mx.init.Xavier())
        net(mx.nd.zeros((1, 1, edge, edge)))
        parameters = {name: p.data().asnumpy() for name, p in net.collect_params().items()}
        model = onnx_model(gluon_layers(net), parameters, (edge, edge))
        infer = infer_of(model.SerializeToString(), int(os.environ["OMP_NUM_THREADS"]))
        _, test_iter = iterators(BatchLoader, settings)

        def evaluate(batches):
            return sum((infer(X.asnumpy()).argmax(axis=1) == y.asnumpy()).sum() for X, y in batches)

        evaluate([next(iter(test_iter))])  # warms up
        started = time.perf_counter()
        evaluate(test_iter)
        return {"eval_images_per_s": settings["test"] / (time.perf_counter() - started)}

    return run


def onnx_runtime(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda X: session.run(["scores"], {"X": X})[0]


def openvino(precision):
    def infer_of(model, threads):
        import io

        import openvino

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", {
            "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision})
        return lambda X: compiled({"X": X})["scores"]

    return infer_of


# ------------------------------------------------------------------ ceilings


def matrix_products(settings):
    """Fastest matrix product of each kind, in GFLOP/s, by MXNet and, where it is, by PyTorch."""
    import nin_gluon  # noqa: F401  # isort: skip
    import mxnet as mx
    from mxnet import nd

    from nin_gluon import runtime

    def rate(product, wait, n, times=6):
        seconds = []
        for _ in range(times):
            started = time.perf_counter()
            wait(product())
            seconds.append(time.perf_counter() - started)
        return 2 * n**3 / min(seconds) / 1e9

    best = {"float32": 0.0, "bfloat16": 0.0}
    for dtype in best:
        if dtype == "bfloat16":
            if not runtime.processors.has_bfloat16():
                break
            runtime.use_dtype(dtype, [mx.cpu()])
        for n in (1024, 2048, 4096):
            a, b = nd.random.uniform(shape=(n, n)), nd.random.uniform(shape=(n, n))
            if dtype == "bfloat16":
                from mxnet.contrib.amp.amp import bfloat16

                a, b = (nd.amp_cast(x, dtype=bfloat16) for x in (a, b))
            best[dtype] = max(best[dtype], rate(
                lambda a=a, b=b, n=n: nd.FullyConnected(a, b, num_hidden=n, no_bias=True),
                lambda c: c.wait_to_read(), n))
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        for dtype in best:
            for n in (1024, 2048, 4096) if best[dtype] else ():
                a, b = (torch.rand(n, n).to(getattr(torch, dtype)) for _ in range(2))
                best[dtype] = max(best[dtype], rate(lambda a=a, b=b: a @ b, lambda c: c, n))
    return {f"{dtype}_gflops": value for dtype, value in best.items()}


CEILINGS = "matrix products"

VARIANTS = {
    "d2lzh": Variant("d2lzh 1.0.0, MXNet's own number of threads", d2lzh_untouched, needs="d2lzh",
                     slow=True, half_threads=True),
    "d2lzh-threads": Variant("d2lzh 1.0.0, all threads", d2lzh_untouched, needs="d2lzh"),
    "torch": Variant("PyTorch", pytorch("float32"), needs="torch"),
    "torch-cl": Variant("PyTorch, channels_last", pytorch("float32", True), needs="torch"),
    "torch-cl-compile": Variant("PyTorch, channels_last, compiled", pytorch("float32", True, True),
                                needs="torch", slow=True),
    "torch-edition": Variant("nin_gluon.torch_edition", torch_edition("float32"), needs="torch",
                             slow=True),
    "ours": Variant("nin_gluon", ours("float32")),
    "ours-torch": Variant("nin_gluon, --engine torch", ours_torch("float32"), needs="torch"),
    "onnxruntime": Variant("ONNX Runtime, on the exported net", served(onnx_runtime),
                           needs=("onnxruntime", "onnx")),
    "openvino": Variant("OpenVINO, on the exported net", served(openvino("f32")),
                        needs=("openvino", "onnx")),
    "torch-bf16": Variant("PyTorch, autocast", pytorch("bfloat16"), "bfloat16", "torch"),
    "torch-cl-bf16": Variant("PyTorch, channels_last, autocast", pytorch("bfloat16", True),
                             "bfloat16", "torch"),
    "torch-cl-bf16-compile": Variant("PyTorch, channels_last, autocast, compiled",
                                     pytorch("bfloat16", True, True), "bfloat16", "torch", True),
    "torch-edition-bf16": Variant("nin_gluon.torch_edition", torch_edition("bfloat16"), "bfloat16",
                                  "torch", True),
    "ours-bf16": Variant("nin_gluon", ours("bfloat16"), "bfloat16"),
    "ours-torch-bf16": Variant("nin_gluon, --engine torch", ours_torch("bfloat16"), "bfloat16",
                               "torch"),
    "openvino-bf16": Variant("OpenVINO, on the exported net", served(openvino("bf16")), "bfloat16",
                             ("openvino", "onnx")),
    CEILINGS: Variant("matrix products", matrix_products),
}


if __name__ == "__main__":
    name, text = sys.argv[1:]
    answer = os.dup(1)
    os.dup2(2, 1)  # what the loops print is not the answer
    figures = VARIANTS[name].run(json.loads(text))
    os.write(answer, (json.dumps(figures) + "\n").encode())
