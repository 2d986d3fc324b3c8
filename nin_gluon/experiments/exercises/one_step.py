"""Exercise 4: what are the problems of reducing 384x5x5 to 10x5x5 in one step?"""

from nin_gluon.experiments.exercises.exercise import Exercise, Part
from nin_gluon.settings import PRESETS, TEXTBOOK

# 112 pixels leave maps of 2x2 in the last block; 67 would leave one pixel.
SMALL = PRESETS["quick"].settings.but(resize=112, limit=6000, epochs=2)
RANDOM_START = SMALL.but(init="he", lr=0.0002)

VARIANTS = {
    "10, 10, 10 (NiN)": {"model": "nin"},
    "96, 10, 10": {"model": "nin_variant,reduce=96-10-10"},
    "96, 96, 10": {"model": "nin_variant,reduce=96-96-10"},
    "384, 96, 10": {"model": "nin_variant,reduce=384-96-10"},
}

EXERCISE = Exercise(
    name="one-step",
    question="what is lost by reducing 384x5x5 to 10x5x5 in one convolution?",
    method="""\
The chapter's last block goes from 384 channels to the 10 classes in its first convolution; its two
1x1 convolutions then work on 10 channels only. Here the same three convolutions come down in steps,
such as 384 to 96 to 10, with the 1x1 convolutions at work while there are many channels. (At 112
pixels, which is the usual size here, the maps are of 2x2; --full has the chapter's 5x5.) Recipe:
that of --preset quick, because with the textbook's a short run only shows how long each net
stalls; --full takes the textbook's, for 10 epochs. In the quick recipe the convolution that makes
the classes' maps starts as an average, and a wider one before it with random weights. So all nets
are trained a second time from He's random weights, at a tenth of the rate, which that start
needs.""",
    minutes=12,
    parts=(
        Part(
            name="last-block",
            title="output channels of the last block's convolutions",
            settings=SMALL,
            full=TEXTBOOK.but(epochs=10),
            variants=VARIANTS,
        ),
        Part(
            name="random-start",
            title="the same from He's initialization",
            settings=RANDOM_START,
            full=RANDOM_START.but(resize=224, limit=None, epochs=10, batch_size=128),
            variants=VARIANTS,
        ),
    ),
)
