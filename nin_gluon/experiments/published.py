"""What the published editions report, as data: figures and facts, each with its source."""

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from nin_gluon.settings import TEXTBOOK, Settings
from nin_gluon.training.history import EpochRecord, parse_log

__all__ = ["EDITIONS", "EXERCISES", "HEADS", "LOG", "LOG_TEXT", "PYTORCH_LOG_TEXT",
           "PYTORCH_SHAPES", "RESOURCES", "SHAPES", "Edition"]

# Dive into Deep Learning, section 7.3 Network in Network, MXNet Gluon edition (2019): the log of
# five epochs of Fashion-MNIST at 224x224, SGD with learning rate 0.1, Xavier, batches of 128.
LOG_TEXT = """\
training on gpu(0)
epoch 1, loss 2.2627, train acc 0.154, test acc 0.362, time 24.1 sec
epoch 2, loss 1.6522, train acc 0.381, test acc 0.578, time 22.9 sec
epoch 3, loss 1.8721, train acc 0.296, test acc 0.360, time 22.9 sec
epoch 4, loss 1.3249, train acc 0.481, test acc 0.529, time 22.9 sec
epoch 5, loss 1.1868, train acc 0.532, test acc 0.544, time 23.0 sec
"""

# The same as a list of EpochRecord.
LOG = parse_log(LOG_TEXT)

# The same section: name and output shape of each layer for an input of (1, 1, 224, 224).
SHAPES = (
    ("sequential1", (1, 96, 54, 54)),
    ("pool0", (1, 96, 26, 26)),
    ("sequential2", (1, 256, 26, 26)),
    ("pool1", (1, 256, 12, 12)),
    ("sequential3", (1, 384, 12, 12)),
    ("pool2", (1, 384, 5, 5)),
    ("dropout0", (1, 384, 5, 5)),
    ("sequential4", (1, 10, 5, 5)),
    ("pool3", (1, 10, 1, 1)),
    ("flatten0", (1, 10)),
)

# Dive into Deep Learning 2.0, section 7.3, PyTorch edition: what training prints after ten epochs,
# SGD with learning rate 0.1, batches of 128.
PYTORCH_LOG_TEXT = """\
loss 0.352, train acc 0.871, test acc 0.874
1721.5 examples/sec on cuda:0
"""

# The same section: layers and output shapes for an input of (1, 1, 224, 224).
PYTORCH_SHAPES = (
    ("Sequential", (1, 96, 54, 54)),
    ("MaxPool2d", (1, 96, 26, 26)),
    ("Sequential", (1, 256, 26, 26)),
    ("MaxPool2d", (1, 256, 12, 12)),
    ("Sequential", (1, 384, 12, 12)),
    ("MaxPool2d", (1, 384, 5, 5)),
    ("Dropout", (1, 384, 5, 5)),
    ("Sequential", (1, 10, 5, 5)),
    ("AdaptiveAvgPool2d", (1, 10, 1, 1)),
    ("Flatten", (1, 10)),
)

# Notes and exercises to the same section (in Chinese): what the net takes for one image of 224x224,
# in the units that are printed there.
RESOURCES = {
    "parameters": (1.92, "M"),
    "compute": (1.55, "GFLOP"),
    "inference parameters": (7.69, "MB"),
    "inference activations": (25.40, "MB"),
    "inference memory": (33.09, "MB"),
    "training parameters": (15.38, "MB"),
    "training activations": (50.80, "MB"),
    "training memory": (66.18, "MB"),
}

# The same edition's notes on the chapter's exercises, at 224x224: what is changed, and how training
# ends. (The first is the unchanged run, 10 epochs at learning rate 0.1.)
EXERCISES = {
    "unchanged": {"loss": 0.352, "train_acc": 0.871, "test_acc": 0.874,
                  "examples_per_second": 1721.5},
    "learning rate 0.05, 20 epochs": {"loss": 0.281, "train_acc": 0.896, "test_acc": 0.885,
                                      "examples_per_second": 1719.9},
    "one 1x1 convolution in a block": {"loss": 0.360, "train_acc": 0.867, "test_acc": 0.869,
                                       "examples_per_second": 2208.1},
}

# Lin, Chen and Yan, Network In Network, arXiv 1312.4400 (2013): test error on CIFAR-10 in percent,
# by what stands on the three mlpconv stages; all without augmentation. Names as --model
# cifar_nin,head=... has them.
HEADS = {"gap": 10.41, "fc_dropout": 10.88, "fc": 11.59}


FASHION_MNIST = TEXTBOOK.but(dataset="fashion-mnist")


@dataclass(frozen=True)
class Edition:
    """One published edition of the chapter: its recipe and what it reports of its run."""

    name: str
    source: str
    framework: str
    device: str  # that its run was made on
    folder: str  # of the runs made here after its recipe, under results/
    recipe: Settings
    log: Tuple[EpochRecord, ...] = ()  # one an epoch; empty where none is published
    # Loss, train_acc and test_acc after the last epoch, if no log is published.
    final: Optional[Dict[str, float]] = None
    # Digits after the point in the published figures.
    decimals: Dict[str, int] = field(
        default_factory=lambda: {"loss": 4, "train_acc": 3, "test_acc": 3})
    notes: str = ""  # where its run and one made here must differ
    # Framework, recipe and epochs of its like in `nin_gluon.experiments.atlas`.
    atlas: Optional[Tuple[str, str, int]] = None

    @property
    def published(self) -> Dict[int, Dict[str, float]]:
        """The published figures: {epoch: {"loss": ..., "train_acc": ..., "test_acc": ...}}."""
        if self.final:
            return {self.recipe.epochs: self.final}
        return {r.epoch: {"loss": r.loss, "train_acc": r.train_acc, "test_acc": r.test_acc}
                for r in self.log}


EDITIONS = {edition.name: edition for edition in (
    Edition(
        name="d2l-mxnet",
        source="Dive into Deep Learning, section 7.3 Network in Network, MXNet Gluon edition "
               "(2019)",
        framework="MXNet Gluon",
        device="gpu(0)",
        folder="textbook",
        recipe=FASHION_MNIST,
        log=tuple(LOG),
        atlas=("mxnet", "sgd-0.1", 5),
    ),
    Edition(
        name="mlpconv-112",
        source="MXNet deep learning framework, part 21: NiN with gluon",
        framework="MXNet Gluon",
        device="gpu(0)",
        folder="mlpconv-112",
        # The article sets the rate to 0.1 after its Trainer was built with 0.2, which is what
        # trains.
        recipe=FASHION_MNIST.but(model="mlpconv_nin", epochs=20, resize=112, lr=0.2),
        notes="Its accuracies are means of the batches' accuracies; the fractions of the images "
              "given here differ from them by up to 0.0111 on the test set, whose last batch has "
              "16 images, and by up to 0.0006 on the training set.",
    ),
    Edition(
        name="d2l-pytorch",
        source="Dive into Deep Learning 2.0, section 7.3, PyTorch edition: notes and exercises (in "
               "Chinese)",
        framework="PyTorch",
        device="cuda:0",
        folder="d2l-pytorch",
        # Its xavier_uniform_ draws from the same range as Gluon's Xavier().
        recipe=FASHION_MNIST.but(epochs=10),
        final={"loss": 0.352, "train_acc": 0.871, "test_acc": 0.874},
        decimals={"loss": 3, "train_acc": 3, "test_acc": 3},
        notes="PyTorch's biases start at small random values where Gluon's start at 0, and "
              "its images are resized by another library.",
        atlas=("pytorch", "sgd-0.1", 10),
    ),
)}
