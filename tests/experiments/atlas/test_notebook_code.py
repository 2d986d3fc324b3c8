"""What is told of runs in notebooks that go on after the chapter."""

import warnings

import pytest

from nin_gluon.experiments.atlas.notebook_code import NotebookCode, Told

BLOCK = """
def nin_block(in_channels, out_channels, kernel_size, strides, padding):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, strides, padding), nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1), nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1), nn.ReLU())
"""
NET = """
net = nn.Sequential(
    nin_block(1, 96, kernel_size=11, strides=4, padding=0), nn.MaxPool2d(3, stride=2),
    nin_block(96, 256, kernel_size=5, strides=1, padding=2), nn.MaxPool2d(3, stride=2),
    nin_block(256, 384, kernel_size=3, strides=1, padding=1), nn.MaxPool2d(3, stride=2),
    nn.Dropout(0.5), nin_block(384, 10, kernel_size=3, strides=1, padding=1),
    nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())
"""
TRAIN = """
lr, num_epochs, batch_size = 0.1, 10, 128
train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size, resize=224)
d2l.train_ch6(net, train_iter, test_iter, num_epochs, lr, d2l.try_gpu())
"""
PYTORCH = "import torch\nfrom torch import nn\nfrom d2l import torch as d2l\n"


def told(*cells):
    code = NotebookCode()
    for cell in cells:
        code.read(cell)
    return code.told()


def recipe(*cells):
    return told(PYTORCH, *cells).recipe


def test_the_chapter():
    assert told(PYTORCH + BLOCK, NET, TRAIN) == Told("pytorch", "sgd-0.1", 10)


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize("cell, expected", [
    ("lr1, num_epochs1, batch_size1 = 0.05, 50, 128\n"
     "it1, it2 = d2l.load_data_fashion_mnist(batch_size1, resize=224)\n"
     "d2l.train_ch6(net, it1, it2, num_epochs1, lr1, d2l.try_gpu())", ("sgd-0.05", 50)),
    ("d2l.train_ch6(net, train_iter, test_iter, 50, 0.05, d2l.try_gpu())", ("sgd-0.05", 50)),
    ("d2l.train_ch6(net, train_iter, test_iter, num_epochs=7, lr=.05, device=0)",
     ("sgd-0.05", 7)),
    ("lr = 0.05\nfor _ in range(1):\n    d2l.train_ch6(net, a, b, num_epochs, lr, 0)",
     ("sgd-0.05", 10)),
    ("batch_size, lr, num_epochs = 128, 0.1, 3\nd2l.train_ch6(net, a, b, num_epochs, lr, 0)",
     ("sgd-0.1", 3)),
    ("batch_size = 64\nit, _ = d2l.load_data_fashion_mnist(batch_size, resize=224)\n"
     "d2l.train_ch6(net, it, _, num_epochs, lr, 0)", (None, 10)),
    ("it, _ = d2l.load_data_fashion_mnist(batch_size, 96)\ntrain(net, it, lr)", (None, 10)),
    ("it, _ = d2l.load_data_fashion_mnist(batch_size)\ntrain(net, it, lr)", (None, 10)),
    ("%%time\n!pip install x\nd2l.train_ch6(net, a, b, num_epochs, 0.05, 0)", ("sgd-0.05", 10)),
    ("print 'old'\nlr, num_epochs = 0.05, 3\nd2l.train_ch6(net, a, b, num_epochs, lr, 0)",
     ("sgd-0.05", 3)),
])
def test_the_call_that_trains_tells_the_settings(cell, expected):
    found = told(PYTORCH, BLOCK, NET, TRAIN, cell)
    assert (found.recipe, found.epochs) == expected


@pytest.mark.parametrize("optimizer, expected", [
    ("torch.optim.SGD(net.parameters(), lr=lr)", "sgd-0.1"),
    ("torch.optim.SGD(net.parameters(), lr=lr, momentum=0.0)", "sgd-0.1"),
    ("torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)", None),
    ("torch.optim.SGD(net.parameters(), lr=lr, weight_decay=decay)", None),
    ("torch.optim.Adam(net.parameters(), lr=0.002)", "adam-0.002"),
    ("torch.optim.AdamW(net.parameters(), lr=0.002)", None),
    ("gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': lr})", "sgd-0.1"),
    ("gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.05})", "sgd-0.05"),
    ("gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': lr, 'wd': 0.001})", None),
])
def test_optimizers(optimizer, expected):
    setup = TRAIN.rpartition("d2l.train_ch6")[0]
    assert recipe(BLOCK, NET, setup, f"trainer = {optimizer}\n"
                  "d2l.train_ch5(net, train_iter, test_iter, batch_size, trainer, 0, num_epochs)"
                  ) == expected


def test_train_ch6_makes_its_own_optimizer_unless_the_notebook_has_its_own():
    demo = "optimizer = torch.optim.Adam(other.parameters())\n"
    assert recipe(BLOCK, NET, demo, TRAIN) == "sgd-0.1"
    own = "def train_ch6(net):\n    optimizer = torch.optim.Adam(net.parameters())\n"
    assert recipe(BLOCK, NET, own, TRAIN) is None  # Adam 0.1


# ------------------------------------------------------------------ the net


MXNET = """
net = nn.Sequential()
net.add(nin_block(96, kernel_size=11, strides=4, padding=0), nn.MaxPool2D(3, 2))
net.add(nin_block(256, 5, 1, 2), nn.MaxPool2D(3, 2), nin_block(384, 3, 1, 1), nn.MaxPool2D(3, 2))
net.add(nn.Dropout(0.5), nin_block(10, 3, 1, 1), nn.GlobalAvgPool2D(), nn.Flatten())
"""
TENSORFLOW = """
def net():
    return tf.keras.models.Sequential([
        nin_block(96, kernel_size=11, strides=4, padding='valid'), MaxPool2D(3, 2),
        nin_block(256, kernel_size=5, strides=1, padding='same'), MaxPool2D(3, 2),
        nin_block(384, kernel_size=3, strides=1, padding='same'), MaxPool2D(3, 2),
        Dropout(0.5), nin_block(10, kernel_size=3, strides=1, padding='same'),
        GlobalAveragePooling2D(), Flatten()])
"""
CLASSES = """
class NiNBlock(nn.Module):
    def __init__(self, inputs, outputs, kernel_size, stride, padding):
        self.layers = nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size, stride, padding),
                                    nn.Conv2d(outputs, outputs, 1), nn.Conv2d(outputs, outputs, 1))
class MyNiN(nn.Module):
    def __init__(self):
        self.features = nn.Sequential(NiNBlock(1, 96, 11, 4, 0), NiNBlock(96, 256, 5, 1, 2),
                                      NiNBlock(256, 384, 3, 1, 1), nn.Dropout(p=0.5),
                                      NiNBlock(384, 10, 3, 1, 1))
    def forward(self, x):
        x = self.features(x)
        return x.mean((2, 3))
net = MyNiN()
net = net.to(device)
"""


@pytest.mark.parametrize("net", [NET, MXNET, TENSORFLOW, CLASSES, NET.replace(
    "kernel_size=3", "kernel_size=(3, 3)"), "net = d2l.nin()", "from copy_of_nin import net"])
def test_the_books_net_in_other_words(net):
    assert recipe(BLOCK, net, TRAIN) == "sgd-0.1"


@pytest.mark.parametrize("net", [
    NET.replace("96", "64"),
    NET.replace("kernel_size=11", "kernel_size=7"),
    NET.replace("nn.Dropout(0.5)", "nin_block(384, 384, 3, 1, 1), nn.Dropout(0.5)"),
    NET.replace("nn.Flatten()", "nn.BatchNorm2d(10), nn.Flatten()"),
    BLOCK.replace(" nn.Conv2d(out", " # nn.Conv2d(out", 1) + NET,
    (BLOCK.replace(" nn.Conv2d(out", " # nn.Conv2d(out", 1) + NET).replace("block", "block_1"),
    "net = nn.Sequential(b1, b2, nn.Linear(10, 10))",
    "class VGG(nn.Module):\n    pass\nnet = VGG()",
    "net = MXNET",
])
def test_another_net_has_no_recipe(net):
    assert recipe(BLOCK, NET.replace("net =", "first ="), net, TRAIN) is None


def test_the_net_that_is_trained_counts():
    """Not the one that was built last."""
    other = NET.replace("net =", "other =").replace("96", "64")
    assert recipe(BLOCK, NET, other, TRAIN) == "sgd-0.1"
    assert recipe(BLOCK, NET, other, TRAIN.replace("(net,", "(other,")) is None


def test_max_pooling_is_a_recipe_of_its_own():
    assert recipe(BLOCK, NET.replace("AdaptiveAvg", "AdaptiveMax"), TRAIN) == "sgd-0.1-max-pooling"


# ------------------------------------------------------------------ what is no code


@pytest.mark.parametrize("cell", [
    "", "\x00", "(" * 9000, "-" * 9999 + "1", "a" + ".a" * 4990, "not " * 2490 + "1", "训练(",
    "other = " + "a + " * 2000 + "a\ntrain(other)", "a\n" * 20_000, "a = a\n" * 20_000 + "train(a)",
    "x_epochs = 1e999", f"x = {'9' * 4000}\ntrain(a, x)",
])
def test_anything_can_be_read(cell):
    assert told(PYTORCH, BLOCK, NET, cell, TRAIN) in (Told("pytorch", "sgd-0.1", 10), Told())


def test_strange_strings_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told(r"print('\d')")


def test_more_code_than_any_chapter_tells_nothing():
    assert told(PYTORCH, BLOCK, NET, "# x\n" * 200_000, TRAIN) == Told()


# ------------------------------------------------------------------ what is not told


@pytest.mark.parametrize("cell", [
    "lr = lr / 2\nd2l.train_ch6(net, a, b, num_epochs, lr, 0)",
    "lr *= 0.5\nd2l.train_ch6(net, a, b, num_epochs, lr, 0)",
    "d2l.train_ch6(net, a, b, num_epochs, lr / 10, 0)",
    "for lr in [0.05, 0.01]:\n    d2l.train_ch6(net, a, b, num_epochs, lr, 0)",
    "batch_size = 2 * 128\nd2l.train_ch6(net, a, b, num_epochs, lr, 0)",
    "it = DataLoader(images, 256)\nd2l.train_ch6(net, it, b, num_epochs, lr, 0)",
    "resize = transforms.Resize(96)\nd2l.train_ch6(net, a, b, num_epochs, lr, 0)",
    "optimizer = torch.optim.SGD(net.parameters(), 0.01)\ntrain(net, a, b, optimizer)",
])
def test_a_setting_that_has_changed_is_not_the_old_one(cell):
    assert recipe(BLOCK, NET, TRAIN, cell) is None


@pytest.mark.parametrize("net", [
    NET.replace("nn.Dropout(0.5), ", ""), NET.replace("nn.Dropout(0.5)", "nn.Dropout(p=0.2)"),
    NET.replace("nn.Flatten()", "nn.Flatten(), nn.Linear(10, 10)"),
    NET.replace("nn.Flatten()", "nn.LazyBatchNorm2d(), nn.Flatten()"),
    BLOCK.replace("nn.ReLU()", "nn.LeakyReLU()") + NET,
])
def test_other_layers_make_another_net(net):
    assert recipe(BLOCK, net, TRAIN) is None


TRAIN_CH5 = "d2l.train_ch5(net, a, b, batch_size, trainer, ctx, num_epochs)"


@pytest.mark.parametrize("cells, expected", [
    ([TRAIN_CH5], "sgd-0.1"),
    ([TRAIN_CH5, TRAIN_CH5], None),
    ([TRAIN_CH5, "net.initialize(force_reinit=True)\n" + TRAIN_CH5], "sgd-0.1"),
    ([TRAIN_CH5, NET, TRAIN_CH5], "sgd-0.1"),
    (["net.load_parameters('best.params')", TRAIN_CH5], None),
    ([TRAIN, TRAIN], "sgd-0.1"),  # train_ch6 initializes the net
])
def test_a_run_that_goes_on_with_a_trained_net_is_none_of_the_recipe(cells, expected):
    setup = TRAIN.rpartition("d2l.train_ch6")[0]
    assert recipe(BLOCK, NET, setup, *cells) == expected
