"""The lottery: with the textbook's recipe, how many classes survive is decided by the seed."""

from nin_gluon.experiments.exercises.exercise import Changes, Exercise, Part
from nin_gluon.settings import TEXTBOOK

# Long enough for the textbook's recipe to leave ln 10.
SMALL: Changes = {"resize": 67, "batch_size": 64, "limit": 6000, "epochs": 10}

EXERCISE = Exercise(
    name="lottery",
    question="how many classes survive the textbook's recipe, what decides it, and what cures it?",
    method="""\
The score of a class is the mean of a map that comes out of a ReLU. A map that is zero for every
image has no gradient, so its class is dead, and its images are never classified correctly: with k
dead classes the accuracy cannot pass 1 - k/10. The textbook's recipe and its cures, each with one
change, are trained from the same 30 seeds. The tables say how many classes are alive before the
first step, after each epoch and at the end, when the others died, and how well the start predicts
the end.""",
    minutes=300,
    stall=True,
    odds=True,
    seeds=range(30),
    parts=(
        Part(
            name="cures",
            title="the textbook's recipe and its cures",
            settings=TEXTBOOK.but(**SMALL),
            full=TEXTBOOK,
            variants={
                "textbook": {},
                "no last ReLU": {"model": "nin_variant,last_relu=0"},
                "last biases 0.1": {"model": "nin_variant,last_bias=0.1"},
                "He": {"init": "he"},
                "identity": {"init": "identity"},
                "warm-up": {"schedule": "warmup"},
                "lr 0.05": {"lr": 0.05},
            },
        ),
    ),
)
