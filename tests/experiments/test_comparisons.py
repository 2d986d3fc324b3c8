"""Variants of an exercise compared: differences by seed, sentences, tables."""

from dataclasses import replace

import pytest

from nin_gluon import plots
from nin_gluon.analysis.signal import Signal
from nin_gluon.experiments.comparisons import (
    alive_words,
    compare,
    format_comparison,
    format_signals,
    stall_words,
)
from nin_gluon.experiments.exercises.exercise import Part
from nin_gluon.settings import TEXTBOOK
from tests.experiments.made_runs import make_record


def part(**changes):
    """A part of two variants, in tiny sizes."""
    return Part(**{"name": "p", "title": "Two nets", "settings": TEXTBOOK.but(
        dataset="sample", resize=67, limit=16, epochs=1, batch_size=8),
        "variants": {"one": {}, "two": {"model": "nin_variant,inner=0"}}, **changes})


def made(part, label, seed, test_acc=0.5, dtype="float32", device="cpu", own_data=None, **changes):
    """A finished run, as it is kept."""
    settings = part.settings_of(label, dtype, seed)
    record = make_record(settings, [(2.0, 0.5, test_acc)] * settings.epochs, device,
                         own_data=own_data)
    return replace(record, **{"parameters": 10, "macs": 10**6, "test_images": 10000, "steps": 2,
                              "stall": None, **changes})


def comparison(accuracies, **changes):
    """A comparison of variants with the test accuracies of seeds 0, 1, ..."""
    each = part(variants={label: {"lr": 0.1 + i} for i, label in enumerate(accuracies)}, **changes)
    kept = [made(each, label, seed, value) for label, values in accuracies.items()
            for seed, value in enumerate(values)]
    found, = compare([each], kept)
    return found


def test_differences_are_of_one_seed():
    """Between seeds all accuracies move by 0.1, and within each the second variant is better."""
    text = "\n".join(comparison({"a": [0.5, 0.6, 0.7], "b": [0.51, 0.63, 0.72],
                                 "c": [0.4, 0.59, 0.6], "d": [0.51, 0.5, 0.7]}).sentences())
    assert "b: higher than a at each of 3 seeds, by 0.0100 to 0.0300." in text
    assert "c: lower than a at each of 3 seeds, by 0.0100 to 0.1000." in text
    assert ("d: not to be told from a with 3 seeds: the difference goes from -0.1000 to +0.0100."
            in text)
    assert "3 differences of one sign come by chance 1 time in 4" in text
    assert "on 10,000 test images is good to 0.0049" in text


def test_many_seeds_tell_a_difference_that_has_exceptions():
    """SciPy's binomtest gives 0.0215 for 1 of 10 and 0.109 for 2 of 10."""
    def text(**others):
        return "\n".join(comparison({"a": [0.5] * 10, **others}).sentences())

    assert ("b: higher than a at 9 of 10 seeds (sign test, p = 0.021); the difference goes from "
            "-0.2000 to +0.1000." in text(b=[0.6] * 9 + [0.3]))
    assert "c: lower than a at 9 of 10 seeds (sign test, p = 0.021)" in text(c=[0.4] * 9 + [0.6])
    assert ("d: not to be told from a with 10 seeds (sign test, p = 0.109; p counts below 0.05): "
            "the difference goes from -0.2000 to +0.1000." in text(d=[0.6] * 8 + [0.3, 0.4]))
    assert "e: higher than a at 8 of 10 seeds (sign test, p = 0.039)" in text(
        e=[0.7] * 8 + [0.5, 0.4])  # one is equal


def test_the_more_variants_are_compared_the_less_p_has_to_be():
    text = "\n".join(comparison({"a": [0.5] * 10, "b": [0.6] * 9 + [0.3], "c": [0.6] * 9 + [0.4],
                                 "d": [0.5] * 10}).sentences())
    assert "b: not to be told from a with 10 seeds (sign test, p = 0.021; p counts below" in text


def test_a_column_of_runs_stands_where_their_numbers_differ():
    text = format_comparison(comparison({"a": [0.5] * 3, "b": [0.6] * 2}))
    assert [line.split()[:2] for line in text.splitlines()[4:6]] == [["a", "3"], ["b", "2"]]
    assert "runs" in text.splitlines()[2]
    assert "runs" not in format_comparison(comparison({"a": [0.5] * 3, "b": [0.6] * 3}))


def test_a_part_with_images_held_out_is_judged_by_these():
    text = format_comparison(comparison({"a": [0.5] * 3, "b": [0.6] * 3},
                                        settings=part().settings.but(validation=40)))
    assert "validation acc" in text and "test" not in text
    assert "on 10,000 validation images is good to" in text


def test_nets_that_have_learned_nothing_say_nothing():
    found = comparison({"a": [0.11, 0.1, 0.12], "b": [0.1, 0.09, 0.1], "c": [0.09, 0.08, 0.09]},
                       published={"a": 0.9, "b": 0.8, "c": 0.7})
    sentence, = found.sentences()
    assert sentence.startswith("No net has learned more than guessing (the best has 0.1200)")


def test_too_few_seeds_say_nothing():
    text = "\n".join(comparison({"a": [0.5, 0.6], "b": [0.6, 0.7]}).sentences())
    assert text == "Fewer than 3 seeds to compare say nothing yet."
    found = comparison({"a": [0.5, 0.6, 0.7], "b": [0.6]})
    assert found.sentences() == ["Fewer than 3 seeds to compare say nothing yet of some."]


def test_published_differences_stand_beside():
    found = comparison({"a": [0.5, 0.6, 0.7], "b": [0.4, 0.5, 0.8]},
                       published={"a": 0.874, "b": 0.869}, source="the book")
    text = format_comparison(found)
    assert "b: the published difference is -0.0050; ours has its sign at 2 of 3 seeds." in text
    assert text.splitlines()[-1] == "Published: the book."
    row = next(line for line in text.splitlines() if line.startswith("b "))
    assert row.split() == ["b", "0.4000", "0.5000", "0.8000", "-0.1000", "+0.1000", "3.0", "10",
                           "1.0", "M", "0.8690", "-0.0050"]


def test_seconds_are_those_of_the_run_where_epochs_differ():
    each = part(variants={"once": {}, "3 times": {"epochs": 3, "limit": 5}})
    found, = compare([each], [
        made(each, label, 0, train_images=each.settings_of(label, "float32").limit)
        for label in each.variants])
    lines = format_comparison(found).splitlines()
    assert "16 images, 1 epoch," in lines[0]  # those of the reference
    assert "s in all" in lines[2] and "s/epoch" not in lines[2]
    seconds = [line.split()[line.split().index("10") - 1] for line in lines
               if line.startswith(("once", "3 times"))]
    assert seconds == ["3.0", "9.0"]


@pytest.mark.parametrize("worst, sentence", [
    ([0.4, 0.5, 0.6], "appears: it holds at 3 of 3 seeds (by chance, each 1 time in 6) and holds"),
    ([0.49, 0.5, 0.9], "does not appear reliably: it holds at 2 of 3 seeds"),
    ([0.8, 0.8, 0.8], "does not appear: it holds at 0 of 3 seeds"),
])
def test_the_published_order(worst, sentence):
    accuracies = {"gap": [0.6, 0.7, 0.8], "fc": worst, "fc_dropout": [0.5, 0.6, 0.7]}
    found = comparison(accuracies, published={"gap": 0.9, "fc_dropout": 0.89, "fc": 0.88})
    order, = (line for line in found.sentences() if "order" in line)
    assert order.startswith(f"The published order, gap before fc_dropout before fc, {sentence}")


def test_a_run_that_diverged_is_named_and_left_out():
    each = part()
    kept = [made(each, label, seed, 0.5) for label in each.variants for seed in range(3)]
    kept[-1] = replace(kept[-1], diverged="the loss became nan", history=())
    found, = compare([each], kept)
    assert found.accuracies("two") == {0: 0.5, 1: 0.5}
    assert "two: seed 2 diverged." in format_comparison(found)
    kept = [replace(record, diverged="nan", history=()) for record in kept]
    found, = compare([each], kept)  # all of them
    assert "one: seed 0-2 diverged." in format_comparison(found)


def test_runs_of_different_settings_are_never_mixed():
    each = part()
    kept = [made(each, "one", 0), made(each, "two", 0, 0.9),
            made(each, "two", 1, dtype="bfloat16"), made(each, "two", 2, device="gpu"),
            made(part(settings=each.settings.but(lr=7.0)), "two", 3),
            made(each, "two", 0, 0.8, own_data="1a2b3c4d")]
    found = compare([each], kept)
    assert [(c.dtype, c.device, c.own_data, {label: sorted(row) for label, row in c.rows.items()})
            for c in found] == [("bfloat16", "cpu", None, {"two": [1]}),
                                ("float32", "cpu", "1a2b3c4d", {"two": [0]}),
                                ("float32", "cpu", None, {"one": [0], "two": [0]}),
                                ("float32", "gpu", None, {"two": [2]})]
    assert "Nothing to compare with: one has not been run." in found[0].sentences()
    assert "sample (own files, 1a2b3c4d) at 67x67" in format_comparison(found[1])
    assert len(compare([each], kept, "float32", "cpu")) == 2


def test_how_long_the_loss_stalled_in_words():
    each = part()
    stalls = [made(each, "one", seed, steps=314, stall=stall) for seed, stall in
              enumerate((112, None, 96))]
    assert stall_words(stalls) == "96 to all 314"
    assert stall_words(stalls[:1]) == "112"
    found, = compare([each], [*stalls, made(each, "two", 0, stall=3)])
    assert ("no better than guessing, less than 1 % below ln 10: one 96 to all 314; "
            "two 3." in format_comparison(found, stall=True))
    each = part(variants={"one": {}, "never": {"lr": 2.0}, "once": {"lr": 3.0}})
    stalls = {"one": (3, 4), "never": (None, None), "once": (None, 5)}
    found, = compare([each], [made(each, label, seed, steps=314, stall=stall)
                              for label, by_seed in stalls.items()
                              for seed, stall in enumerate(by_seed)])
    assert "one 3 to 4; never all 314." in found.stall_sentence()


def test_runs_that_have_lost_all_classes_are_named():
    each = part()
    kept = [made(each, label, seed, alive=alive) for label, counts in
            (("one", (10, 8, 0)), ("two", (10, 10, None))) for seed, alive in enumerate(counts)]
    found, = compare([each], kept)
    text = format_comparison(found, stall=True)
    assert "No class is alive at the end of one (seed 2): the maps are zero" in text
    assert alive_words(found.rows["one"].values()) == "0 to 10"
    assert alive_words(found.rows["two"].values()) == "10"
    assert "alive" not in format_comparison(found)
    found, = compare([each], [made(each, "one", 0)])
    assert found.dead_sentence() is None and alive_words(found.rows["one"].values()) == "-"


def test_living_classes_of_the_history_count_more_than_those_of_500_images():
    each = part()
    record = made(each, "one", 0, alive=5)
    found, = compare([each], [replace(record, history=(replace(record.history[-1],
                                                               living=(0, 1, 2, 3, 4, 9)),))])
    assert alive_words(found.rows["one"].values()) == "6"


def test_signals_as_text():
    signals = [Signal(init, seed, 67, "sample", (0.5, 0.25), (0.5, spread), (0.02, 0.01))
               for init, spread in (("xavier", 0.001), ("he", 0.9)) for seed in (0, 1)]
    text = format_signals(signals, ("xavier", "he"))
    assert text.startswith("The signal in the untrained net, sample at 67x67, float32, 2 seeds, ")
    assert ("xavier: what tells images apart shrinks to 1/1,000 of the input's after 2 ReLUs (by "
            "seed 0.001 to 0.001), a factor of 0.03 a layer; a first step with rate 0.1 changes "
            "the weights by 0.2 % in the first layer and by 0.1 % where least.") in text
    assert "he: what tells images apart is 0.9 of the input's" in text


@pytest.mark.pictures
def test_the_picture_has_a_dot_for_every_run():
    found = comparison({"a": [0.5, 0.6, 0.7], "b": [0.4, 0.5, 0.8]}, published={"a": 0.9})
    signals = [Signal(init, seed, 67, "sample", (0.5, 0.2), (0.3, 0.1), (0.1, 0.1))
               for init in ("he", "xavier") for seed in (0, 1)]
    figure = plots.draw_comparisons([found], signals)
    above, below = figure.axes
    dots = [tuple(line.get_ydata()) for line in above.lines]
    assert {(0.5, 0.4), (0.6, 0.5), (0.7, 0.8), (0.9,)} <= set(dots)
    assert [text.get_text() for text in above.get_xticklabels()] == ["a", "b"]
    assert len(below.lines) == 4 and below.get_yscale() == "log"
