"""The settings: what they accept, and that everything else follows from them."""

import argparse
from dataclasses import FrozenInstanceError, fields

import pytest

from nin_gluon import cli, train
from nin_gluon.errors import InputError
from nin_gluon.settings import PRESETS, TEXTBOOK, Settings, default_preset, setting_of

NAMES = [f.name for f in fields(Settings)]


def test_the_defaults_are_the_textbooks_recipe():
    assert TEXTBOOK == Settings() == PRESETS["textbook"].settings
    recipe = (TEXTBOOK.optimizer, TEXTBOOK.lr, TEXTBOOK.momentum, TEXTBOOK.init)
    assert recipe == ("sgd", 0.1, 0.0, "xavier")
    assert (TEXTBOOK.epochs, TEXTBOOK.batch_size, TEXTBOOK.resize) == (5, 128, 224)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    settings = PRESETS[name].settings
    assert Settings.from_json(settings.to_json()) == settings
    assert name in train.build_parser().format_help()


def test_a_setting_that_the_json_lacks_has_its_default():
    assert Settings.from_json({"epochs": 7}) == TEXTBOOK.but(epochs=7)


@pytest.mark.parametrize("name, value", [
    ("epochs", 0), ("epochs", 1.0), ("epochs", True), ("epochs", "5"), ("epochs", None),
    ("lr", float("nan")), ("lr", float("inf")), ("lr", 0), ("lr", "0.1"), ("lr", 10**400),
    ("momentum", 1), ("momentum", -0.1), ("wd", -1e-9), ("seed", -1), ("resize", 2.5),
    ("limit", False), ("limit", 0), ("validation", [5]), ("model", 3), ("model", None),
    ("optimizer", "rmsprop"), ("init", "He"), ("schedule", ""), ("dtype", "float64"),
    ("dataset", 1), ("augment", None), ("preprocess", "Zca"), ("kvstore", "dist_async"),
])
def test_illegal_values_are_named(name, value):
    with pytest.raises(InputError, match=f"^{name} is "):
        Settings(**{name: value})


@pytest.mark.parametrize("content", [{"epoch": 5}, {"lr": 0.1, "learning_rate": 0.2}])
def test_unknown_settings_are_refused(content):
    with pytest.raises(InputError, match="is not a setting; the settings are: model, epochs"):
        Settings.from_json(content)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        TEXTBOOK.lr = 1
    assert TEXTBOOK.but(lr=1) != TEXTBOOK
    assert TEXTBOOK.but(lr=1).differences(TEXTBOOK) == {"lr": 1.0}


def test_every_setting_is_an_option_of_the_train_command():
    defaults = vars(train.build_parser().parse_args([]))
    assert set(NAMES) <= set(defaults)
    assert all(defaults[name] is None for name in NAMES)  # None: not given


@pytest.mark.parametrize("name", NAMES)
def test_an_option_takes_what_the_setting_takes(name):
    parser = argparse.ArgumentParser()
    cli.add_settings(parser, [name])
    described = setting_of(name)
    value = described.choices[-1] if described.choices else {int: 3, float: 0.5, str: "nin"}[
        described.kind]
    args = parser.parse_args([f"--{name.replace('_', '-')}", str(value)])
    assert cli.given_settings(args) == {name: value}
    assert getattr(TEXTBOOK.but(**{name: value}), name) == value


def test_momentum_is_for_sgd():
    with pytest.raises(InputError, match="--momentum is of SGD"):
        Settings(optimizer="adam", momentum=0.5)


def test_the_paper_net_has_a_preset_of_its_own():
    assert default_preset("cifar_nin,head=fc") == "paper-quick"
    assert default_preset("nin") == default_preset(None) == "textbook"
