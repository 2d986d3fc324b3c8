"""The paper's comparison: global average pooling against fully connected heads."""

from typing import Dict

from nin_gluon.experiments.exercises.exercise import Changes, Exercise, Part
from nin_gluon.experiments.published import HEADS
from nin_gluon.settings import PRESETS

PUBLISHED = {head: round(1 - error / 100, 4) for head, error in HEADS.items()}
SOURCE = ("Lin, Chen and Yan (2013), the net cifar_nin on all of CIFAR-10 without "
          "augmentation: test errors of "
          + ", ".join(f"{error} % ({head})" for head, error in HEADS.items()))
RECIPE = PRESETS["quick"].settings.but(lr=0.001, epochs=2)


def heads(model: str) -> Dict[str, Changes]:
    """The three heads on one net."""
    return {head: {"model": f"{model},head={head}"} for head in HEADS}


EXERCISE = Exercise(
    name="heads",
    question="does global average pooling do better than fully connected heads, as in the paper?",
    method="""\
The same convolutions end in the average of each class's map (gap), in one fully connected layer on
the maps (fc), or in that with dropout before it (fc_dropout). The three are trained from the same
seeds on the same data: the paper's net on CIFAR-10 and on Fashion-MNIST at 28x28, and the chapter's
net on Fashion-MNIST at 112x112. Recipe: that of --preset quick at half its learning rate, with
which the fully connected heads of the paper's net learn too, on as many images as a CPU can
manage; for the paper's comparison --full takes the paper's own recipe, without augmentation.""",
    minutes=22,
    parts=(
        Part(
            name="cifar10",
            title="the paper's net on CIFAR-10",
            settings=RECIPE.but(dataset="cifar10", resize=32, limit=10000),
            # These published figures are without augmentation, which --preset paper has.
            full=PRESETS["paper"].settings.but(resize=32, augment="none"),
            variants=heads("cifar_nin"),
            published=PUBLISHED,
            source=SOURCE,
        ),
        Part(
            name="fashion-mnist",
            title="the paper's net on Fashion-MNIST",
            settings=RECIPE.but(dataset="fashion-mnist", resize=28, limit=6000),
            full=PRESETS["paper-quick"].settings.but(resize=28, epochs=20),
            variants=heads("cifar_nin"),
            published=PUBLISHED,
            source=SOURCE,
            published_on="CIFAR-10",
        ),
        Part(
            name="chapter",
            title="the chapter's net on Fashion-MNIST",
            settings=RECIPE.but(dataset="fashion-mnist", resize=112, limit=6000),
            full=RECIPE.but(resize=224, epochs=10, limit=None, batch_size=128),
            variants=heads("nin"),
            published=PUBLISHED,
            source=SOURCE,
            published_on="CIFAR-10",
        ),
    ),
)
