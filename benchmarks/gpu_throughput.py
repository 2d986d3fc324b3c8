"""How many images a second a GPU trains and evaluates: the book's code, PyTorch, this project.

Each is run by `benchmarks.gpu` in a process of its own, on the same images, the chapter's net at
224x224 in batches of 128. PyTorch alone is needed.
"""

import contextlib
import functools
import itertools
import resource
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["VARIANTS", "Variant", "machine", "matrix_rates", "throughput", "training_flops"]

LR = 0.1  # of SGD, as published


class Variant:
    """One row of the comparison.

    Parameters
    ----------
    title : str
    dtype : {"float32", "tf32", "bfloat16"}
        Whose matrix rate is its ceiling.
    make : callable
        Settings -> (training step, its batches, test step, its batches), for `rate`.
    mode : str
        Of our engine, as --mode has it; empty for the peers.
    later : bool
        Whether it can wait until the accuracies are known.
    """

    def __init__(self, title, dtype, make, mode="", later=False):
        self.title, self.dtype, self.make = title, dtype, make
        self.mode, self.later = mode, later


def throughput(settings):
    """What one variant comes to; `settings` names it."""
    variant, device = VARIANTS[settings["variant"]], torch.device(settings["device"])
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    train_step, train_batches, test_step, test_batches = variant.make(settings)
    figures = {"train_images_per_s": rate(train_step, train_batches, wait, settings["seconds"])}
    figures["memory_mb"] = peak_memory(device)
    with torch.no_grad():
        figures["eval_images_per_s"] = rate(test_step, test_batches, wait, settings["seconds"] / 2)
    return figures


def rate(step, batches, wait, seconds, warm_up=3):
    """Images a second over as many passes as it takes; the first steps are not counted."""
    steps = images = 0
    started = time.perf_counter()
    while True:
        for X, y in batches:
            step(X, y)
            steps += 1
            if steps <= warm_up:
                wait()
                started = time.perf_counter()
                continue
            images += len(y)
            if time.perf_counter() - started > seconds:
                wait()
                return images / (time.perf_counter() - started)


def peak_memory(device):
    """Megabytes that PyTorch has taken: of the GPU, or on a CPU of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def images_and_labels(settings, split):
    """The first images of a split: (n, 28, 28, 1) uint8 and (n,)."""
    from nin_gluon.data.sets import load_image_set

    images, labels = load_image_set(settings["dataset"], split, settings["data_dir"])
    return images[:settings["images"]], labels[:settings["images"]]


# ------------------------------------------------------------------ the peers


def book(settings):
    """The book's code as published: a loader that resizes in worker processes, a loop that waits.

    Its defaults are PyTorch's, TF32 convolutions on GPUs among them.
    """
    from nin_gluon.torch_edition.net import init_weights, nin

    device = torch.device(settings["device"])
    net = nin()
    init_weights(net)
    net.to(device)
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=LR), nn.CrossEntropyLoss()
    metric = [0.0, 0.0, 0]

    def train_step(X, y):
        net.train()
        optimizer.zero_grad()
        X, y = X.to(device), y.to(device)
        y_hat = net(X)
        l = loss(y_hat, y)
        l.backward()
        optimizer.step()
        with torch.no_grad():
            metric[0] += float(l * len(y))
            metric[1] += float((y_hat.argmax(dim=1) == y).sum())
            metric[2] += len(y)

    def test_step(X, y):
        net.eval()
        X, y = X.to(device), y.to(device)
        metric[1] += float((net(X).argmax(dim=1) == y).sum())

    def batches(split):
        return torch.utils.data.DataLoader(
            Photographs(*images_and_labels(settings, split), settings["resize"]),
            settings["batch_size"], shuffle=split == "train", num_workers=settings["workers"])

    return train_step, batches("train"), test_step, batches("test")


class Photographs(torch.utils.data.Dataset):
    """Images that are resized one by one by Pillow and scaled to [0, 1], as torchvision does."""

    def __init__(self, images, labels, resize):
        self.images, self.labels, self.resize = images, labels, resize

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        from PIL import Image

        image = Image.fromarray(self.images[index, :, :, 0])
        resized = np.array(image.resize((self.resize, self.resize), Image.BILINEAR))
        return torch.from_numpy(resized).float().div_(255)[None], int(self.labels[index])


def plain(dtype, compile_mode=None):
    """The same loop as fast as PyTorch makes it without leaving its ordinary means.

    Channels last, autocast, ``torch.compile``; batches made on the device; nothing waits.
    """

    def make(settings):
        from nin_gluon.data.torch_loader import BatchLoader
        from nin_gluon.torch_edition.net import init_weights, nin

        device = torch.device(settings["device"])
        torch.backends.cudnn.benchmark = True
        net = nin()
        init_weights(net)
        net.to(device, memory_format=torch.channels_last)
        options = {"backend": settings["backend"]} if settings["backend"] else {
            "mode": compile_mode}
        forward = torch.compile(net, **options)
        optimizer = torch.optim.SGD(net.parameters(), lr=LR)
        sums = torch.zeros(2, device=device)

        def precision():
            if dtype != "bfloat16":
                return contextlib.nullcontext()
            return torch.autocast(device.type, torch.bfloat16)

        def train_step(X, y):
            net.train()
            optimizer.zero_grad()
            with precision():
                y_hat = forward(X)
                l = F.cross_entropy(y_hat, y)
            l.backward()
            optimizer.step()
            add(l.detach() * len(y), y_hat.detach(), y)

        def test_step(X, y):
            net.eval()
            with precision():
                y_hat = forward(X)
            add(0, y_hat, y)

        def add(l, y_hat, y):
            sums.add_(torch.stack([torch.as_tensor(l, dtype=torch.float32, device=device),
                                   (y_hat.argmax(dim=1) == y).sum().float()]))

        train_iter, test_iter = (
            BatchLoader(*images_and_labels(settings, split), settings["batch_size"],
                        settings["resize"], shuffle=split == "train", device=device)
            for split in ("train", "test"))
        return train_step, train_iter, test_step, test_iter

    return make


# ------------------------------------------------------------------ this project


def ours(dtype, mode):
    """The engine as the train command makes it, with the textbook's recipe."""

    def make(settings):
        from nin_gluon.settings import TEXTBOOK
        from nin_gluon.training import torch_run
        from nin_gluon.training.run_folder import Environment, RunConfig
        from nin_gluon.training.torch_workers import TorchWorkers

        device = torch.device(settings["device"])
        recipe = TEXTBOOK.but(engine="torch", dtype=dtype, dataset=settings["dataset"],
                              limit=settings["images"], batch_size=settings["batch_size"],
                              resize=settings["resize"])
        run = torch_run.prepare(
            RunConfig("textbook", recipe, Environment(mode=mode if device.type == "cuda"
                                                      else "eager",
                                                      data_dir=settings["data_dir"])),
            device, TorchWorkers())
        engine, steps = run.engine, itertools.count(1)

        def train_step(X, y):
            engine.train_step(X, y)
            engine.seed_step(0, 1, next(steps))  # as a run does, for the next step

        def test_step(X, y):
            engine.start_evaluation()(X, y)

        return train_step, run.train_iter, test_step, run.test_iter

    return make


# In order of worth: where time runs out, the last are missing.
VARIANTS = {
    "ours-bfloat16": Variant("nin_gluon, CUDA graph", "bfloat16", ours("bfloat16", "graph"),
                             "graph"),
    "plain-bfloat16": Variant("PyTorch, channels_last, autocast, compiled", "bfloat16",
                              plain("bfloat16")),
    "ours-float32": Variant("nin_gluon, CUDA graph", "float32", ours("float32", "graph"), "graph"),
    "book": Variant("the book's code", "tf32", book),
    "ours-tf32": Variant("nin_gluon, CUDA graph", "tf32", ours("tf32", "graph"), "graph"),
    "ours-bfloat16-compile": Variant("nin_gluon, compiled, CUDA graph", "bfloat16",
                                     ours("bfloat16", "compile"), "compile"),
    "plain-bfloat16-graphs": Variant("PyTorch, the same, mode reduce-overhead", "bfloat16",
                                     plain("bfloat16", "reduce-overhead"), later=True),
    "ours-float32-compile": Variant("nin_gluon, compiled, CUDA graph", "float32",
                                    ours("float32", "compile"), "compile", later=True),
    "ours-bfloat16-eager": Variant("nin_gluon, eager", "bfloat16", ours("bfloat16", "eager"),
                                   "eager", later=True),
    "ours-float32-eager": Variant("nin_gluon, eager", "float32", ours("float32", "eager"),
                                  "eager", later=True),
    "plain-tf32": Variant("PyTorch, channels_last, compiled", "tf32", plain("tf32"), later=True),
}


# ------------------------------------------------------------------ ceilings


def machine(settings):
    """The card, the versions, and what the card's matrix units do."""
    from nin_gluon.runtime import describe_machine
    from nin_gluon.runtime.torch_device import parse_device

    device = parse_device(settings["device"])
    found = {**describe_machine("torch"), "device": device.type}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found.update(gpu=properties.name, memory_mb=round(properties.total_memory / 1e6),
                     capability=".".join(map(str, torch.cuda.get_device_capability(device))),
                     cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    return {**found, "matrix_tflops": matrix_rates(device, settings["matrix"])}


def matrix_rates(device, n):
    """TFLOP/s of a large product of random matrices (n x n), in each arithmetic."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    rates = {}
    for dtype in ("float32", "tf32", "bfloat16"):
        if dtype == "tf32" and device.type != "cuda":
            continue
        torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
        a, b = (torch.randn(n, n, device=device).to(
            torch.bfloat16 if dtype == "bfloat16" else torch.float32) for _ in range(2))
        times = []
        for _ in range(8):
            wait()
            started = time.perf_counter()
            for _ in range(4):
                c = a @ b
            wait()
            times.append((time.perf_counter() - started) / 4)
        assert bool(c.isfinite().all())
        rates[dtype] = 2 * n**3 / min(times) / 1e12
    return rates


@functools.lru_cache(maxsize=None)
def training_flops(size):
    """FLOPs, two for a MAC, that training the chapter's net takes for one image.

    Forward, the gradients of the weights, and those of each layer's input but the first's.
    """
    from nin_gluon.torch_edition.net import nin

    net, macs = nin(), []

    def count(layer, inputs, output):
        macs.append(output[0].numel() * layer.weight[0].numel())

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        net(torch.zeros(1, 1, size, size))
    return 2 * (3 * sum(macs) - macs[0])
