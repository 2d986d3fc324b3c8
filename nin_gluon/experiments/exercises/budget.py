"""What a fixed amount of computing buys: the search behind ``--preset quick``."""

from nin_gluon.experiments.exercises.exercise import Exercise, Part
from nin_gluon.settings import PRESETS

SETTINGS = PRESETS["quick"].settings.but(validation=10000)

EXERCISE = Exercise(
    name="budget",
    question="what is the most that 150 s of training on two cores can teach the net?",
    method="""\
The recipe of --preset quick trains for two epochs of 30,000 images of 67x67, the fewest pixels that
the net takes. Each variant changes one setting of it, or spends the same multiply-adds otherwise:
on more images seen less often, on fewer seen more often, or on fewer and larger ones. (50,000
training images are left when some are held out; to see each of them once takes five sixths of the
computing.) Accuracy is measured on 10,000 training images that are held out: the test set is not
there to choose settings by.""",
    minutes=70,
    parts=(
        Part(
            name="recipe",
            title="around the quick recipe",
            settings=SETTINGS,
            variants={
                "quick": {},
                "lr 0.001": {"lr": 0.001},
                "lr 0.004": {"lr": 0.004},
                "SGD (momentum 0.9)": {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9},
                "values from 0 to 1": {"preprocess": "none"},
                "mirrored": {"augment": "mirror"},
                "no dropout": {"model": "nin,dropout=0"},
            },
        ),
        Part(
            name="spending",
            title="the same computing spent otherwise",
            settings=SETTINGS,
            variants={
                "30,000 images twice (quick)": {},
                "50,000 images once": {"limit": 50000, "epochs": 1},
                "20,000 images 3 times": {"limit": 20000, "epochs": 3},
                "15,000 images 4 times": {"limit": 15000, "epochs": 4},
                "12,000 images of 99x99 twice": {"limit": 12000, "resize": 99},
                "batches of 32": {"batch_size": 32},
                "batches of 128": {"batch_size": 128},
            },
        ),
    ),
)
