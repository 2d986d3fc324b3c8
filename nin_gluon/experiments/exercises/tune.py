"""Exercise 1: tune the hyperparameters. What moves the accuracy, and why does the log stall?"""

from nin_gluon.experiments.exercises.exercise import Changes, Exercise, Part
from nin_gluon.experiments.published import EXERCISES
from nin_gluon.settings import PRESETS, TEXTBOOK

SMALL: Changes = {"resize": 67, "batch_size": 64, "limit": 6000}
TUNED = PRESETS["tuned"].settings.but(validation=5000)

EXERCISE = Exercise(
    name="tune",
    question="what moves the accuracy, and why does the published log stall at the start?",
    method="""\
Each variant changes one setting of the textbook's recipe or of the tuned one (learning rate,
initialization, momentum, dropout, schedule). Around the tuned recipe, accuracy is measured on 5,000
training images that are held out: the test set is not there to choose settings by. The table also
shows for how many steps the loss of a run was no better than guessing (less than 1 % below ln 10),
and how many classes are alive at its end: a class whose map is zero for every image gets no
gradient. To see why, images are sent through the untrained net in float32. Shown are the size of
the signal after each of the twelve ReLUs, how much of it differs from image to image, and the
gradient that reaches the first layer.""",
    minutes=22,
    stall=True,
    signals=("xavier", "he", "identity"),
    parts=(
        Part(
            name="textbook",
            title="around the textbook's recipe",
            settings=TEXTBOOK.but(epochs=4, **SMALL),
            full=TEXTBOOK.but(epochs=10),
            variants={
                "textbook": {},
                "lr 0.05": {"lr": 0.05},
                "lr 0.2": {"lr": 0.2},
                "He": {"init": "he"},
                "identity": {"init": "identity"},
                "momentum 0.9": {"momentum": 0.9},
                "no dropout": {"model": "nin,dropout=0"},
                "cosine": {"schedule": "cosine"},
            },
            published={
                "textbook": EXERCISES["unchanged"]["test_acc"],
                "lr 0.05": EXERCISES["learning rate 0.05, 20 epochs"]["test_acc"],
            },
            source="Dive into Deep Learning 2.0, PyTorch edition, at 224x224 on all images: 10 "
                   "epochs, and with learning rate 0.05 it was 20",
        ),
        Part(
            name="tuned",
            title="around the tuned recipe",
            settings=TUNED.but(epochs=2, **SMALL),
            full=TUNED,
            variants={
                "tuned": {},
                "lr 0.001": {"lr": 0.001},
                "lr 0.004": {"lr": 0.004},
                "SGD": {"optimizer": "sgd", "lr": 0.02, "momentum": 0.9},
                "SGD, momentum 0": {"optimizer": "sgd", "lr": 0.02},
                "He": {"init": "he"},
                "constant rate": {"schedule": "constant"},
                "values from 0 to 1": {"preprocess": "none"},
                "not mirrored": {"augment": "none"},
            },
        ),
    ),
)
