"""The nets of the book's chapter on convolutional nets, and a program that trains one of them.

The nets are put together as a reader of the book does it: from `nn.Sequential`, `nn.Block` and
`nd`, with nothing hybridized. The program knows MXNet and d2lzh only. It is run by ``python -m
nin_gluon.run -m benchmarks.book_nets NET EPOCHS``.
"""

import sys
from typing import Callable, NamedTuple

from mxnet import nd
from mxnet.gluon import nn


def chain(*layers):
    net = nn.Sequential()
    net.add(*layers)
    return net


def lenet():
    return chain(
        nn.Conv2D(6, 5, activation="sigmoid"), nn.MaxPool2D(2, 2),
        nn.Conv2D(16, 5, activation="sigmoid"), nn.MaxPool2D(2, 2),
        nn.Dense(120, activation="sigmoid"), nn.Dense(84, activation="sigmoid"), nn.Dense(10))


def alexnet():
    return chain(
        nn.Conv2D(96, 11, 4, activation="relu"), nn.MaxPool2D(3, 2),
        nn.Conv2D(256, 5, padding=2, activation="relu"), nn.MaxPool2D(3, 2),
        *(nn.Conv2D(channels, 3, padding=1, activation="relu") for channels in (384, 384, 256)),
        nn.MaxPool2D(3, 2),
        nn.Dense(4096, activation="relu"), nn.Dropout(0.5),
        nn.Dense(4096, activation="relu"), nn.Dropout(0.5), nn.Dense(10))


def vgg_11():
    """VGG-11 with a quarter of the channels."""
    stages = [chain(*(nn.Conv2D(channels, 3, padding=1, activation="relu") for _ in range(depth)),
                    nn.MaxPool2D(2, 2))
              for depth, channels in ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))]
    return chain(*stages, nn.Dense(4096, activation="relu"), nn.Dropout(0.5),
                 nn.Dense(4096, activation="relu"), nn.Dropout(0.5), nn.Dense(10))


def nin():
    def block(channels, kernel, strides, padding):
        return chain(nn.Conv2D(channels, kernel, strides, padding, activation="relu"),
                     nn.Conv2D(channels, 1, activation="relu"),
                     nn.Conv2D(channels, 1, activation="relu"))

    return chain(
        block(96, 11, 4, 0), nn.MaxPool2D(3, 2), block(256, 5, 1, 2), nn.MaxPool2D(3, 2),
        block(384, 3, 1, 1), nn.MaxPool2D(3, 2), nn.Dropout(0.5), block(10, 3, 1, 1),
        nn.GlobalAvgPool2D(), nn.Flatten())


class Inception(nn.Block):
    """Four paths side by side."""

    def __init__(self, c1, c2, c3, c4):
        super().__init__()

        def conv(channels, kernel):
            return nn.Conv2D(channels, kernel, padding=kernel // 2, activation="relu")

        self.paths = nn.Sequential()
        self.paths.add(conv(c1, 1), chain(conv(c2[0], 1), conv(c2[1], 3)),
                       chain(conv(c3[0], 1), conv(c3[1], 5)),
                       chain(nn.MaxPool2D(3, 1, 1), conv(c4, 1)))

    def forward(self, x):
        return nd.concat(*(path(x) for path in self.paths), dim=1)


def googlenet():
    def stem(channels, kernel, strides=1):
        return nn.Conv2D(channels, kernel, strides, kernel // 2, activation="relu")

    def pool():
        return nn.MaxPool2D(3, 2, 1)

    return chain(
        stem(64, 7, 2), pool(), stem(64, 1), stem(192, 3), pool(),
        Inception(64, (96, 128), (16, 32), 32), Inception(128, (128, 192), (32, 96), 64), pool(),
        Inception(192, (96, 208), (16, 48), 64), Inception(160, (112, 224), (24, 64), 64),
        Inception(128, (128, 256), (24, 64), 64), Inception(112, (144, 288), (32, 64), 64),
        Inception(256, (160, 320), (32, 128), 128), pool(),
        Inception(256, (160, 320), (32, 128), 128), Inception(384, (192, 384), (48, 128), 128),
        nn.GlobalAvgPool2D(), nn.Dense(10))


def resnet_18():
    import d2lzh

    return d2lzh.resnet18(10)


class Dense(nn.Block):
    """Every layer sees the outputs of all those before it."""

    def __init__(self, layers, channels):
        super().__init__()
        self.layers = chain(*(norm_relu(nn.Conv2D(channels, 3, padding=1))
                              for _ in range(layers)))

    def forward(self, x):
        for layer in self.layers:
            x = nd.concat(x, layer(x), dim=1)
        return x


def norm_relu(*layers):
    return chain(nn.BatchNorm(), nn.Activation("relu"), *layers)


def densenet():
    net = chain(nn.Conv2D(64, 7, 2, 3), nn.BatchNorm(), nn.Activation("relu"),
                nn.MaxPool2D(3, 2, 1))
    channels, growth, stages = 64, 32, 4
    for stage in range(stages):
        net.add(Dense(4, growth))
        channels += 4 * growth
        if stage < stages - 1:
            channels //= 2
            net.add(norm_relu(nn.Conv2D(channels, 1), nn.AvgPool2D(2, 2)))
    net.add(norm_relu(nn.GlobalAvgPool2D(), nn.Dense(10)))
    return net


class BookNet(NamedTuple):
    build: Callable
    size: int  # of the images, in the book
    batch: int
    lr: float


NETS = {
    "LeNet": BookNet(lenet, 28, 256, 0.9),
    "AlexNet": BookNet(alexnet, 224, 128, 0.01),
    "VGG-11": BookNet(vgg_11, 224, 128, 0.05),
    "NiN": BookNet(nin, 224, 128, 0.1),
    "GoogLeNet": BookNet(googlenet, 96, 128, 0.1),
    "ResNet-18": BookNet(resnet_18, 96, 256, 0.05),
    "DenseNet": BookNet(densenet, 96, 256, 0.1),
}


def main(name, epochs):
    """Train one of the nets on Fashion-MNIST, as its section does."""
    import d2lzh as d2l
    from mxnet import gluon, init

    book, ctx = NETS[name], d2l.try_gpu()
    net = book.build()
    net.initialize(init.Xavier(), ctx=ctx)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": book.lr})
    resize = None if book.size == 28 else book.size
    train_iter, test_iter = d2l.load_data_fashion_mnist(book.batch, resize)
    d2l.train_ch5(net, train_iter, test_iter, book.batch, trainer, ctx, int(epochs))


if __name__ == "__main__":
    main(*sys.argv[1:])
