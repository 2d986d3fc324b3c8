"""Exercise 2: why are there two 1x1 convolutions in a block? Take them away, or put others in."""

from nin_gluon.experiments.exercises.exercise import Exercise, Part
from nin_gluon.experiments.published import EXERCISES
from nin_gluon.settings import PRESETS, TEXTBOOK

# 112 pixels leave maps of 2x2 in the last block; 67 would leave one pixel, and no neighbours.
SMALL = PRESETS["quick"].settings.but(resize=112, limit=6000, epochs=2)

EXERCISE = Exercise(
    name="one-by-one",
    question="what do the two 1x1 convolutions of a block bring? One, none, or depth instead",
    method="""\
The chapter's blocks have two 1x1 convolutions after the first one. Here they have one or none, or
in their place one or two 3x3 convolutions with as many channels: plain depth, which sees
neighbouring pixels as well. Recipe: that of --preset quick, because with the textbook's a short run
only shows how long each net stalls; --full takes the published recipe.""",
    minutes=10,
    parts=(
        Part(
            name="blocks",
            title="the convolutions inside a block",
            settings=SMALL,
            full=TEXTBOOK.but(epochs=10),
            variants={
                "two 1x1 (NiN)": {"model": "nin"},
                "one 1x1": {"model": "nin_variant,inner=1"},
                "no 1x1": {"model": "nin_variant,inner=0"},
                "one 3x3 instead": {"model": "nin_variant,inner=1,inner_kernel=3"},
                "two 3x3 instead": {"model": "nin_variant,inner=2,inner_kernel=3"},
            },
            published={
                "two 1x1 (NiN)": EXERCISES["unchanged"]["test_acc"],
                "one 1x1": EXERCISES["one 1x1 convolution in a block"]["test_acc"],
            },
            source="Dive into Deep Learning 2.0, PyTorch edition, 10 epochs at 224x224 on all "
                   "images, where it trained on {:.1f} examples/sec with two and {:.1f} with one"
                   .format(EXERCISES["unchanged"]["examples_per_second"],
                           EXERCISES["one 1x1 convolution in a block"]["examples_per_second"]),
        ),
    ),
)
