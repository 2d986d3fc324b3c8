"""What is measured of an exercise's runs: cost, images, the stall at ln 10."""


import pytest

from nin_gluon import InputError
from nin_gluon.experiments import measurements
from nin_gluon.experiments.measurements import (
    Progress,
    cost,
    image_counts,
    read_progress,
    stall_steps,
)
from nin_gluon.settings import TEXTBOOK


def test_cost_is_what_the_shapes_command_says(capsys):
    from nin_gluon import shapes

    assert cost(TEXTBOOK, 1) == (1_992_166, 762_297_352)
    assert shapes.main(["--model", "nin_variant,inner=1", "--size", "112", "--table"]) == 0
    total = capsys.readouterr().out.splitlines()[-1].replace(",", "").split()
    settings = TEXTBOOK.but(model="nin_variant,inner=1", resize=112)
    assert list(map(str, cost(settings, 1))) == total[1:]


@pytest.mark.parametrize("model, channels, size", [
    ("nin", 1, 224), ("nin,head=fc", 1, 67), ("mlpconv_nin", 1, 112), ("cifar_nin", 3, 32),
    ("cifar_nin,head=fc_dropout", 1, 28), ("nin_variant,inner=0", 1, 67),
    ("nin_variant,inner=1,inner_kernel=3", 3, 68), ("nin_variant,reduce=96-96-10", 1, 67),
])
def test_both_engines_count_the_same(model, channels, size):
    pytest.importorskip("torch")
    settings = TEXTBOOK.but(model=model, resize=size)
    assert cost(settings.but(engine="torch"), channels) == cost(settings, channels)


def test_pytorch_refuses_images_that_are_too_small_for_a_net():
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="28x28 pixels is too small for this net"):
        cost(TEXTBOOK.but(resize=28, engine="torch"), 1)


def test_images_held_out_come_off_the_training_images(monkeypatch):
    """And --limit is not for them."""
    monkeypatch.setattr(measurements, "image_shape", lambda name, split, where: (
        {"train": 100, "test": 50}[split], 28, 28, 1))
    counts = [image_counts(TEXTBOOK.but(dataset="sample", limit=limit, validation=held_out), None)
              for held_out in (None, 40) for limit in (None, 30)]
    assert counts == [(1, 100, 50), (1, 30, 30), (1, 60, 40), (1, 30, 40)]


def test_how_long_the_loss_stays_at_ln_10():
    progress = [Progress(0.25, 2.303), Progress(0.5, 2.301), Progress(0.75, 2.2),
                Progress(1, 2.3026)]
    assert stall_steps(progress, 100) == 75  # it has fallen back
    assert stall_steps(progress[:2], 100) is None
    assert stall_steps([Progress(n * 0.01, 2.303) for n in range(1, 101)], 100) is None
    assert stall_steps([Progress(0.1, 2.1)], 100) == 0
    # A loss above ln 10 is no better than guessing.
    assert stall_steps([Progress(0.1, 2.9), Progress(0.2, 2.3), Progress(0.3, 1.9)], 100) == 20


PROGRESS = '{"epochs": 0.5, "loss": 2.3, "train_acc": 0.1}\n{"epochs": 1, "loss": 2.0}\n'


@pytest.mark.parametrize("text, sentence", [
    (None, "it is missing"),
    ("[]", "[] has no 'epochs' and 'loss'"),
    ('{"epochs": 1}', "has no 'epochs' and 'loss'"),
    ('{"epochs": "1", "loss": 1}', "epochs is '1', not a number"),
    ('{"epochs": 1, "loss": NaN}', "loss is nan, not a number"),
    (PROGRESS + PROGRESS, "epochs fall"),
])
def test_progress_that_cannot_be_read(tmp_path, text, sentence):
    path = tmp_path / "progress.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_progress(tmp_path)
    assert str(path) in str(caught.value) and sentence in str(caught.value)
