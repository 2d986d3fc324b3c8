"""The chapter's exercises: their runs, records, comparisons and sentences; and the command."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mxnet import nd

from nin_gluon import exercises, models, plots, runtime, train
from nin_gluon.experiments import jobs as runs
from nin_gluon.experiments import records as evidence
from nin_gluon.experiments.exercises import results
from nin_gluon.experiments.exercises.exercise import Exercise, Part, chosen_parts
from nin_gluon.experiments.records import Record, train_options
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.history import EpochRecord, write_history

MACHINE = {"nin_gluon": "0.1.0", "mxnet": "1.9.1", "cpu": "a fast one", "threads": 2,
           "devices": ["cpu(0)"]}
SMALL = ["--dataset", "sample", "--limit", "64", "--epochs", "1", "--size", "112"]
ONE_STEP = ["one-step", "--part", "last-block", *SMALL]


def part(**changes):
    """A part of two variants, in tiny sizes."""
    return Part(**{"name": "p", "title": "Two nets", "settings": {
        **TEXTBOOK, "dataset": "sample", "resize": 67, "limit": 16, "epochs": 1, "batch_size": 8},
        "variants": {"one": {}, "two": {"model": "nin_variant,inner=0"}}, **changes})


def made(part, label, seed, test_acc=0.5, dtype="float32", device="cpu", own_data=None, **changes):
    """A finished run, as it is kept."""
    settings = part.settings_of(label, dtype)
    history = tuple(EpochRecord(epoch, 2.0, 0.5, test_acc, 3.0)
                    for epoch in range(1, settings["epochs"] + 1))
    record = Record(seed, settings, device, "auto", MACHINE, "command", None, history,
                    own_data)
    return results.Run(**{"record": record, "parameters": 10, "macs": 10**6, "test_images": 10000,
                          "steps": 2, "stall": None, **changes})


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty current folder, and no pictures, which take longest, unless a test is about them."""
    monkeypatch.chdir(tmp_path)
    if "pictures" not in request.keywords:
        monkeypatch.setattr(plots, "draw_comparisons", lambda *args: plots.Figure())
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """The jobs that were run; instead of training, a run folder is made at once."""
    monkeypatch.setattr(exercises, "image_shape", lambda *args: (10000, 28, 28, 1))
    monkeypatch.setattr(exercises, "living_classes", lambda *args: 10)
    monkeypatch.setattr(runtime, "check_dtype", lambda *args: None)  # whatever this CPU has
    done = []

    def call(self, job):
        done.append(job)
        job.run.mkdir(parents=True)
        (job.run / "config.json").write_text(json.dumps(
            {**job.settings, "seed": job.seed, "ctx": "auto", "own_data": job.own_data,
             "machine": MACHINE}))
        acc = 0.5 + 0.01 * job.seed + 0.001 * len(job.settings["model"])
        write_history(job.run / "history.jsonl", [
            EpochRecord(e + 1, 2.0, acc, acc, 3.0) for e in range(job.settings["epochs"])])
        (job.run / "progress.jsonl").write_text(
            '{"epochs": 0.5, "loss": 2.3026}\n{"epochs": 1, "loss": 2.0}\n')
        (job.run / "checkpoint" / "epoch-0002-step-000000").mkdir(parents=True)
        return 0

    monkeypatch.setattr(runs.Runs, "call", call)
    return done


def refused(options, capsys):
    """The one line that a wrong request gets."""
    try:
        status = exercises.main(options)
    except SystemExit as end:
        status = end.code
    out, error = capsys.readouterr()
    assert (status, out, error.count("\n")) == (2, "", 1), error
    return error


def contents(folder):
    """Every file below a folder, with its bytes; but for locks, which are empty."""
    return {path: path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".lock"}


# ------------------------------------------------------------------ what is declared


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_every_variant_is_a_request_that_the_train_command_takes(name, full):
    """And the reference is what others depart from: no two variants are the same."""
    parser = train.build_parser()
    for each in chosen_parts(exercises.EXERCISES[name], full=full):
        kinds = [each.settings_of(label, "float32") for label in each.variants]
        assert all(kind != other for i, kind in enumerate(kinds) for other in kinds[:i])
        assert set(each.published) <= set(each.variants) and bool(each.published) == \
            bool(each.source)
        for settings in kinds:
            _, config = train.plan_run(parser.parse_args(
                [*train_options(settings, 0, "auto"), "--out", "nowhere"]))
            assert {name: config[name] for name in settings} == settings
            parameters, macs = exercises.cost(settings, 3)
            assert parameters > 100_000 and macs > 10**6


def test_the_paper_s_comparison_is_without_augmentation():
    """Its 10.41, 10.88 and 11.59 % are; with it the paper has 8.81 %, for gap alone."""
    cifar10, = chosen_parts(exercises.EXERCISES["heads"], ["cifar10"], full=True)
    for label in cifar10.variants:
        settings = cifar10.settings_of(label, "float32")
        assert (settings["augment"], settings["epochs"], settings["limit"]) == ("none", 307, None)
        options = train_options(settings, 0, "auto")
        assert options[options.index("--augment") + 1] == "none"
    assert "without augmentation" in cifar10.source


def test_an_equal_part_is_run_once():
    heads = exercises.EXERCISES["heads"]
    assert [p.name for p in chosen_parts(heads)] == ["cifar10", "fashion-mnist", "chapter"]
    given = {"dataset": "sample", "resize": 112, "limit": 64, "epochs": 1}
    assert [p.name for p in chosen_parts(heads, given=given)] == ["cifar10", "chapter"]
    assert [p.name for p in chosen_parts(heads, ["chapter"], given=given)] == ["chapter"]


def test_variants_that_would_change_what_was_given_are_left_out():
    budget = exercises.EXERCISES["budget"]
    _, spending = chosen_parts(budget, given={"limit": 64, "resize": 67})
    assert list(spending.variants) == ["30,000 images twice (quick)", "batches of 32",
                                       "batches of 128"]
    assert {spending.settings_of(label, "float32")["limit"] for label in spending.variants} == {64}


def test_what_is_spent_otherwise_is_the_same_computing():
    """To 1 %; but the training images that are not held out are too few to be seen only once."""
    spending, = chosen_parts(exercises.EXERCISES["budget"], ["spending"])
    assert spending.judged_by == "validation"
    kinds = {label: spending.settings_of(label, "float32") for label in spending.variants}
    macs = {label: s["epochs"] * s["limit"] * exercises.cost(s, 1)[1]
            for label, s in kinds.items()}
    usual = macs.pop(spending.reference)
    assert macs.pop("50,000 images once") == pytest.approx(usual * 5 / 6)
    assert list(macs.values()) == pytest.approx([usual] * len(macs), rel=0.01)


def test_full_sizes_are_only_where_there_are_any(capsys):
    assert "--full" in refused(["budget", "--full", "--report"], capsys)


def test_a_set_that_is_held_out_whole_is_refused_before_the_first_run(here, capsys):
    assert refused(["budget", "--dataset", "sample"], capsys) == (
        "nin_gluon.exercises: error: budget holds out 10000 training images, and sample has no "
        "more; choose another --dataset.\n")


def test_cost_is_what_the_shapes_command_says(capsys):
    from nin_gluon import shapes

    assert exercises.cost({"model": "nin", "resize": 224}, 1) == (1_992_166, 762_297_352)
    assert shapes.main(["--model", "nin_variant,inner=1", "--size", "112", "--table"]) == 0
    total = capsys.readouterr().out.splitlines()[-1].replace(",", "").split()
    settings = {"model": "nin_variant,inner=1", "resize": 112}
    assert list(map(str, exercises.cost(settings, 1))) == total[1:]


@pytest.mark.parametrize("device, flags, dtype", [
    ("cpu", {"amx_bf16", "avx512_bf16"}, "bfloat16"), ("cpu", {"avx512_bf16"}, "float32"),
    ("cpu", set(), "float32"), ("gpu", {"amx_bf16"}, "float32"),
])
def test_arithmetic_unless_told(monkeypatch, device, flags, dtype):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: flags)
    assert exercises.usual_dtype(device) == dtype


# ------------------------------------------------------------------ what runs come to


def comparison(accuracies, **changes):
    """A comparison of variants with the test accuracies of seeds 0, 1, ..."""
    each = part(variants={label: {"lr": 0.1 + i} for i, label in enumerate(accuracies)}, **changes)
    kept = [made(each, label, seed, value) for label, values in accuracies.items()
            for seed, value in enumerate(values)]
    found, = results.compare([each], kept)
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


def test_a_part_with_images_held_out_is_judged_by_these(monkeypatch):
    """They come off the training images, and --limit is not for them."""
    settings = {**part().settings, "validation": 40}
    text = results.format_comparison(comparison({"a": [0.5] * 3, "b": [0.6] * 3},
                                                settings=settings))
    assert "validation acc" in text and "test" not in text
    assert "on 10,000 validation images is good to" in text
    monkeypatch.setattr(exercises, "image_shape", lambda name, split, where: (
        {"train": 100, "test": 50}[split], 28, 28, 1))
    facts = [exercises.image_facts({"dataset": "sample", "limit": limit, "validation": held_out},
                                   None) for held_out in (None, 40) for limit in (None, 30)]
    assert facts == [(1, 100, 50), (1, 30, 30), (1, 60, 40), (1, 30, 40)]


def test_the_recipe_is_not_chosen_by_the_test_set():
    tuned, = chosen_parts(exercises.EXERCISES["tune"], ["tuned"])
    assert tuned.judged_by == "validation"


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
    text = results.format_comparison(found)
    assert "b: the published difference is -0.0050; ours has its sign at 2 of 3 seeds." in text
    assert text.splitlines()[-1] == "Published: the book."
    row = next(line for line in text.splitlines() if line.startswith("b "))
    assert row.split() == ["b", "0.4000", "0.5000", "0.8000", "-0.1000", "+0.1000", "3.0", "10",
                           "1.0", "M", "0.8690", "-0.0050"]


def test_seconds_are_those_of_the_run_where_epochs_differ():
    each = part(variants={"once": {}, "3 times": {"epochs": 3, "limit": 5}})
    found, = results.compare([each], [
        made(each, label, 0, train_images=each.settings_of(label, "float32")["limit"])
        for label in each.variants])
    lines = results.format_comparison(found).splitlines()
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


def test_a_run_that_diverged_is_told_and_left_out():
    each = part()
    kept = [made(each, label, seed, 0.5) for label in each.variants for seed in range(3)]
    gone = replace(kept[-1].record, diverged="the loss became nan", history=())
    kept[-1] = replace(kept[-1], record=gone)
    found, = results.compare([each], kept)
    assert found.accuracies("two") == {0: 0.5, 1: 0.5}
    assert "two: seed 2 diverged." in results.format_comparison(found)
    kept = [replace(run, record=replace(run.record, diverged="nan", history=())) for run in kept]
    found, = results.compare([each], kept)  # all of them
    assert "one: seed 0-2 diverged." in results.format_comparison(found)


def test_runs_of_different_settings_are_never_mixed():
    each = part()
    kept = [made(each, "one", 0), made(each, "two", 0, 0.9),
            made(each, "two", 1, dtype="bfloat16"), made(each, "two", 2, device="gpu"),
            made(part(settings={**each.settings, "lr": 7.0}), "two", 3),
            made(each, "two", 0, 0.8, own_data="1a2b3c4d")]
    found = results.compare([each], kept)
    assert [(c.dtype, c.device, c.own_data, {label: sorted(row) for label, row in c.rows.items()})
            for c in found] == [("bfloat16", "cpu", None, {"two": [1]}),
                                ("float32", "cpu", "1a2b3c4d", {"two": [0]}),
                                ("float32", "cpu", None, {"one": [0], "two": [0]}),
                                ("float32", "gpu", None, {"two": [2]})]
    assert "Nothing to compare with: one has not been run." in found[0].sentences()
    assert "sample (own files, 1a2b3c4d) at 67x67" in results.format_comparison(found[1])
    assert len(results.compare([each], kept, "float32", "cpu")) == 2


def test_how_long_the_loss_stays_at_ln_10():
    marks = [{"epochs": 0.25, "loss": 2.303}, {"epochs": 0.5, "loss": 2.301},
             {"epochs": 0.75, "loss": 2.2}, {"epochs": 1, "loss": 2.3026}]
    assert results.stall_steps(marks, 100) == 75  # it has fallen back
    assert results.stall_steps(marks[:2], 100) is None
    assert results.stall_steps([{"epochs": 0.1, "loss": 2.1}], 100) == 0
    # A loss above ln 10 is no better than guessing.
    assert results.stall_steps([{"epochs": 0.1, "loss": 2.9}, {"epochs": 0.2, "loss": 2.3},
                                {"epochs": 0.3, "loss": 1.9}], 100) == 20
    each = part()
    stalls = [made(each, "one", seed, steps=314, stall=stall) for seed, stall in
              enumerate((112, None, 96))]
    assert results.stall_words(stalls) == "96 to all 314"
    assert results.stall_words(stalls[:1]) == "112"
    found, = results.compare([each], [*stalls, made(each, "two", 0, stall=3)])
    assert ("no better than guessing, less than 1 % below ln 10: one 96 to all 314; "
            "two 3." in results.format_comparison(found, stall=True))
    each = part(variants={"one": {}, "never": {"lr": 2.0}, "once": {"lr": 3.0}})
    stalls = {"one": (3, 4), "never": (None, None), "once": (None, 5)}
    found, = results.compare([each], [made(each, label, seed, steps=314, stall=stall)
                                      for label, by_seed in stalls.items()
                                      for seed, stall in enumerate(by_seed)])
    assert "one 3 to 4; never all 314." in found.about_stall()


def test_runs_that_have_lost_all_classes_are_told():
    each = part()
    kept = [made(each, label, seed, alive=alive) for label, counts in
            (("one", (10, 8, 0)), ("two", (10, 10, None))) for seed, alive in enumerate(counts)]
    found, = results.compare([each], kept)
    text = results.format_comparison(found, stall=True)
    assert "No class is alive at the end of one (seed 2): the maps are zero" in text
    assert results.alive_words(found.rows["one"].values()) == "0 to 10"
    assert results.alive_words(found.rows["two"].values()) == "10"
    assert "alive" not in results.format_comparison(found)
    found, = results.compare([each], [made(each, "one", 0)])
    assert found.about_lost() is None and results.alive_words(found.rows["one"].values()) == "-"


def test_the_signal_is_what_the_net_does(garments):
    """Against the net itself, and what the initializations promise."""
    from nin_gluon.analysis.signal import measure

    settings = {"model": "nin", "dataset": "sample", "resize": 67}
    signals = {init: measure(init, 0, settings) for init in ("xavier", "he", "identity")}
    assert all(len(s.size) == len(s.spread) == 12 for s in signals.values())
    for block in range(3):  # 1x1 convolutions that are the identity pass all on
        sizes = signals["identity"].size[3 * block : 3 * block + 3]
        assert max(sizes) == pytest.approx(min(sizes))
    assert signals["xavier"].spread[-1] < 0.01 < 0.1 < signals["he"].spread[-1]
    for xavier, he in zip(signals["xavier"].gradient, signals["he"].gradient):
        assert 0 < xavier < he / 5
    assert measure("xavier", 0, settings) == signals["xavier"]
    assert measure("xavier", 2**31, settings) == replace(signals["xavier"], seed=2**31)
    text = results.format_signal(list(signals.values()), ("xavier", "he", "identity"))
    assert "xavier: what tells images apart shrinks to 1/" in text
    X = nd.random.uniform(shape=(4, 1, 67, 67))
    net = models.get_model("nin")
    net.initialize(models.initializer("he", net))
    from nin_gluon.analysis.signal import rms, spread

    assert rms(X) == pytest.approx(float((X ** 2).mean().sqrt().asscalar()), rel=1e-5)
    assert spread(X.slice_axis(axis=0, begin=0, end=1)) == 0


# ------------------------------------------------------------------ the file


def test_what_is_written_is_read(here):
    each, path = part(), here / "results/exercises/x.json"
    exercise = Exercise("x", "why?", "so", (each,), 1)
    kept = [made(each, "two", 1), made(each, "one", 0, 1 / 3, stall=4), made(each, "two", 0)]
    signals = [results.Signal("he", 0, 67, "sample", (1 / 3, 0.5), (0.1, 0.2), (1e-9, 1e-8))]
    results.write(path, exercise, kept, signals)
    first = path.read_bytes()
    again, same = results.read(path)
    assert sorted(map(str, again)) == sorted(map(str, kept)) and same == signals
    path.unlink()
    results.write(path, exercise, kept[::-1], signals)  # in another order
    assert path.read_bytes() == first
    content = json.loads(first)
    assert content["exercise"] == "x" and len(content["runs"]) == 3
    assert content["runs"][0]["machine"] == MACHINE and content["runs"][0]["command"] == "command"


@pytest.mark.parametrize("old, new, sentence", [
    ('"runs"', '"walks"', "KeyError: 'runs'"),
    ('"epoch": 1', '"epoch": 2', "epoch 2 where epoch 1 belongs"),
    ('"test_acc": 0.5', '"test_acc": 50', "test_acc is 50"),
    ('"stall": null', '"stall": "x"', "stall is 'x'"),
    ('"parameters": 10, ', "", "'parameters'"),
    ('"seed": 0, "settings"', '"seed": "0", "settings"', "seed is '0'"),
    ('"seed": 0', '"seed": "0"', "TypeError"),
    ('"size": [0.5]', '"size": [NaN]', "the signal of he, seed 0, has nan"),
    ('"size": [0.5]', '"size": [-0.5]', "the signal of he, seed 0, has -0.5"),
    ('"size": [0.5]', '"size": []', "the signal of he, seed 0, is not that of every layer"),
    ('"spread": [0.1]', '"spread": []', "is not that of every layer"),
    ('"gradient": [1e-09]', '"gradient": [1e-09, 1e-09]', "is not that of every layer"),
    ('"gradient": [1e-09]', '"gradient": 1e-09', "TypeError"),
    ('"init": "he"', '"init": "xavier"', "the signal of xavier, seed 0, does not belong here"),
    ('"test_images": 10000', '"test_images": 0', "test_images is 0"),
    ('"stall": null', '"stall": -1', "stall is -1"),
    ("}\n", "", "JSONDecodeError"),
])
def test_a_damaged_file_is_named(here, capsys, monkeypatch, old, new, sentence):
    exercise = replace(exercises.EXERCISES["one-step"], signal=("he",))
    monkeypatch.setitem(exercises.EXERCISES, "one-step", exercise)
    path = here / "results/exercises/one-step.json"
    signals = [results.Signal("he", 0, 67, "sample", (0.5,), (0.1,), (1e-9,))]
    results.write(path, exercise, [made(part(), "one", 0)], signals)
    text = path.read_text()
    assert old in text
    head, _, tail = text.rpartition(old)
    path.write_text(head + new + tail)
    error = refused(["one-step", "--report"], capsys)
    assert f"{path.relative_to(here)} is damaged" in error and sentence in error
    assert path.read_text() == head + new + tail


def test_records_made_before_training_images_were_kept_are_read(here):
    path = here / "x.json"
    each = part()
    results.write(path, Exercise("x", "why?", "so", (each,), 1), [made(each, "one", 0)], [])
    text = path.read_text()
    path.write_text(text.replace(', "train_images": null', ""))
    assert path.read_text() != text
    (run,), _ = results.read(path)
    assert run == made(each, "one", 0)


def test_signals_in_the_file_of_an_exercise_without_any_are_damage(here, capsys):
    path = here / "results/exercises/one-step.json"
    signals = [results.Signal("he", 0, 67, "sample", (0.5,), (0.1,), (1e-9,))]
    results.write(path, exercises.EXERCISES["one-step"], [made(part(), "one", 0)], signals)
    assert "is damaged (ValueError: the signal of he, seed 0, does not belong here)" in refused(
        ["one-step", "--report"], capsys)


# ------------------------------------------------------------------ the command


@pytest.mark.parametrize("options, sentence", [
    (["two-by-two"], "invalid choice: 'two-by-two' (choose from"),
    ([], "the following arguments are required: NAME"),
    (["heads", "--part", "mnist"], "argument --part: invalid choice: 'mnist'"),
    (["tune", "--seeds", "9-0"], "'9-0' is not a range"),
    (["tune", "--epochs", "0"], "'0' is not a whole number above 0"),
    (["tune", "--report"], "results/exercises/tune.json holds no runs of this kind yet"),
    (["tune", "--report", "--full"], "results/exercises/tune-full.json holds no runs"),
    (["tune", "--report", "--limit", "5"], "results/exercises/tune-limit-5.json holds no runs"),
    (["tune", "--report", "--limit", "6000"], "results/exercises/tune.json holds no runs"),
    (["tune", "--report", "--seeds", "0"], "--report runs nothing; leave out --seeds"),
    (["tune", "--ctx", "tpu"], "'tpu' is not a device"),
    (["tune", "--dataset", "mnist"], "--dataset: unknown data set 'mnist'; the data sets are:"),
    # Found out before the first run, which would say it in its own name.
    (["one-step", "--dataset", "sample", "--size", "20"], "too small"),
    (["one-step", "--dataset", "sample", "--dtype", "float16", "--ctx", "cpu"],
     "float16 is for GPUs"),
])
def test_wrong_requests_get_one_line_and_status_2(here, capsys, options, sentence):
    assert sentence in refused(options, capsys)
    assert list(here.iterdir()) == []


@pytest.mark.pictures
def test_finished_runs_are_kept_and_a_second_call_changes_nothing(here, calls, capsys):
    command = [*ONE_STEP, "--dtype", "float32"]
    assert exercises.main([*command, "--seeds", "0"]) == 0
    assert len(calls) == 4 and len({job.run for job in calls}) == 4
    assert exercises.main(command) == 0  # seeds 0 to 2
    assert len(calls) == 12
    out = capsys.readouterr().out
    assert "seeds: 0-2" in out and "384, 96, 10: higher than 10, 10, 10 (NiN) at each" in out
    before = contents(here)
    names = {str(path.relative_to(here)) for path in before if "runs" not in path.parts}
    stem = "results/exercises/one-step-epochs-1-limit-64-dataset-sample"  # 112 is the usual size
    assert names == {f"{stem}.json", f"{stem}.png"}
    assert (here / f"{stem}.json").stat().st_size < 20000
    assert exercises.main(command) == 0
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    assert len(calls) == 12 and contents(here) == before
    assert capsys.readouterr().out.count("Fewer than") == 0
    # Neither the run folders nor the records alone are lost.
    (here / "results").rename(here / "old")
    assert exercises.main(command) == 0
    (here / "runs").rename(here / "older")
    assert exercises.main(command) == 0
    assert len(calls) == 12
    assert (here / f"{stem}.json").read_bytes() == before[here / f"{stem}.json"]


def test_the_heading_tells_how_many_images_there_were(here, calls, capsys):
    """The data set of these tests has 10,000."""
    for limit, images in (("64", "64"), ("50000", "10,000")):
        assert exercises.main([*ONE_STEP, "--limit", limit, "--dtype", "float32"]) == 0
        assert f"sample at 112x112, {images} images, 1 epoch" in capsys.readouterr().out
        assert exercises.main([*ONE_STEP, "--limit", limit, "--report"]) == 0
        assert f"sample at 112x112, {images} images, 1 epoch" in capsys.readouterr().out


def test_other_arithmetic_is_another_comparison_in_the_same_file(here, calls, capsys):
    for dtype in ("float32", "bfloat16"):
        assert exercises.main([*ONE_STEP, "--dtype", dtype]) == 0
        out = capsys.readouterr().out
        assert f"{dtype} on cpu; 3 seeds: 0-2" in out and out.count(" on cpu; ") == 1
    assert len(calls) == 24
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    assert capsys.readouterr().out.count(" on cpu; 3 seeds") == 2
    assert exercises.main([*ONE_STEP, "--report", "--dtype", "float32"]) == 0
    assert capsys.readouterr().out.count(" on cpu; 3 seeds") == 1


def test_runs_on_other_files_of_the_users_own_lie_beside(here, calls, monkeypatch, capsys):
    from nin_gluon.data import sets

    for own in (None, "1a2b3c4d", "00000000"):
        monkeypatch.setattr(sets, "own_data", lambda name, root: own)  # noqa: B023 (used at once)
        assert exercises.main([*ONE_STEP, "--seeds", "0", "--dtype", "float32"]) == 0
    assert len(calls) == len({job.run for job in calls}) == 12
    capsys.readouterr()
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    out = capsys.readouterr().out  # each a comparison of its own
    assert out.count(" on cpu; 1 seed: 0") == 3 and out.count("own files, 1a2b3c4d") == 1


def test_a_data_set_s_other_name_is_the_same_request(here, calls, capsys):
    for name in ("cifar-10", "cifar10"):
        assert exercises.main([*ONE_STEP, "--dataset", name, "--dtype", "float32"]) == 0
    assert len(calls) == 12 and {job.settings["dataset"] for job in calls} == {"cifar10"}
    assert [path.name for path in here.glob("results/exercises/*.json")] == [
        "one-step-epochs-1-limit-64-dataset-cifar10.json"]


def test_the_signals_are_measured_once(here, calls, capsys, monkeypatch):
    from nin_gluon.exercises import signal as through

    asked = []

    def measure(init, seed, settings, data_dir):
        asked.append((init, seed))
        return results.Signal(init, seed, settings["resize"], settings["dataset"], (0.5,), (0.2,),
                              (0.1,))

    monkeypatch.setattr(through, "measure", measure)
    for _ in range(2):
        assert exercises.main(["tune", *SMALL, "--part", "tuned", "--seeds", "0-1", "--dtype",
                               "float32"]) == 0
    assert asked == [(init, seed) for init in ("xavier", "he", "identity") for seed in (0, 1)]
    assert "he: what tells images apart shrinks to 1/5" in capsys.readouterr().out


def test_two_at_once_keep_a_signal_once(here, calls, capsys, monkeypatch):
    """While the first measures, a second command, in another folder, measures all of them."""
    from nin_gluon.exercises import signal as through

    command = ["tune", *SMALL, "--part", "tuned", "--seeds", "0", "--dtype", "float32",
               "--results", str(here / "shared")]
    asked = []

    def measure(init, seed, settings, data_dir):
        asked.append(init)
        if len(asked) == 1:
            (here / "second").mkdir()
            with monkeypatch.context() as at:
                at.chdir(here / "second")
                assert exercises.main(command) == 0
        return results.Signal(init, seed, settings["resize"], settings["dataset"], (0.5,), (0.2,),
                              (0.1,))

    monkeypatch.setattr(through, "measure", measure)
    assert exercises.main(command) == 0
    assert asked == ["xavier", "xavier", "he", "identity"]
    path, = here.glob("shared/exercises/*.json")
    kept, signals = results.read(path)
    assert [signal.init for signal in signals] == ["he", "identity", "xavier"]
    # The one lock of both working folders lies beside the file.
    assert [lock.name for lock in here.rglob("*.lock") if "second" not in lock.parts
            and "runs" not in lock.parts] == [f".{path.stem}.lock"]


def test_a_writer_waits_for_the_lock_beside_the_file(here, calls, monkeypatch):
    """And sees what was written meanwhile: nothing of it is lost."""
    import threading

    import filelock

    command = [*ONE_STEP, "--seeds", "0", "--dtype", "float32"]
    assert exercises.main(command) == 0
    path, = here.glob("results/exercises/*.json")
    whole = path.read_bytes()
    path.rename(here / "kept")
    lock = filelock.FileLock(path.with_name(f".{path.stem}.lock"))
    lock.acquire()
    writer = threading.Thread(target=exercises.Answer.keep, daemon=True, args=(
        exercises.Answer(exercises.EXERCISES["one-step"], None, False,
                         {"epochs": 1, "limit": 64, "dataset": "sample"}, "results"),
        evidence.record_of_run(calls[0].run), calls[0].run, None))
    writer.start()
    writer.join(0.3)
    assert writer.is_alive() and not path.exists()
    (here / "kept").rename(path)
    lock.release()
    writer.join(30)
    assert not writer.is_alive() and path.read_bytes() == whole


def test_ctrl_c_while_signals_are_measured_says_how_to_go_on(here, calls, capsys, monkeypatch):
    from nin_gluon.exercises import signal as through

    def measure(init, seed, settings, data_dir):
        if init == "he":
            raise KeyboardInterrupt
        return results.Signal(init, seed, settings["resize"], settings["dataset"], (0.5,), (0.2,),
                              (0.1,))

    monkeypatch.setattr(through, "measure", measure)
    command = ["tune", *SMALL, "--seeds", "0"]
    assert exercises.main(command) == 130
    first, last = capsys.readouterr().err.splitlines()
    assert first == "interrupted"
    assert last.startswith("go on with: ")
    assert last.endswith("nin_gluon.exercises " + " ".join(command))
    path, = here.glob("results/exercises/*.json")
    assert [signal.init for signal in results.read(path)[1]] == ["xavier"]  # nothing is lost


def test_files_of_others_are_left_alone(here, calls, capsys):
    path = here / "results/exercises/one-step-epochs-1-limit-64-dataset-sample.png"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert exercises.main([*ONE_STEP, "--dtype", "float32"]) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_a_run_of_other_settings_in_the_way_is_named(here, calls, capsys):
    assert exercises.main([*ONE_STEP, "--dtype", "float32"]) == 0
    (here / "results").rename(here / "old")
    config = calls[0].run / "config.json"
    config.write_text(config.read_text().replace('"lr": 0.002', '"lr": 0.5'))
    assert exercises.main([*ONE_STEP, "--dtype", "float32"]) == 2
    assert f"{calls[0].run} holds a run of other settings" in capsys.readouterr().err


@pytest.mark.pictures
def test_resources_are_those_of_their_own_command(here, capsys):
    """In processes of their own, where the layers' numbers start from 0."""

    def call(*words):
        return subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True,
                              text=True).stdout

    assert call("nin_gluon.exercises", "resources") == call("nin_gluon.resources")
    content = json.loads(Path("results/exercises/resources.json").read_text())
    assert (content["parameters"], content["macs"]) == (1_992_166, 762_297_352)
    before = contents(here)
    call("nin_gluon.exercises", "resources")
    assert contents(here) == before and len(before) == 2
    assert exercises.main(["resources", "--batch", "2"]) == 0
    assert contents(here).items() > before.items()
    capsys.readouterr()
    assert "too small" in refused(["resources", "--size", "9"], capsys)


@pytest.mark.pictures
def test_the_picture_has_a_dot_for_every_run():
    found = comparison({"a": [0.5, 0.6, 0.7], "b": [0.4, 0.5, 0.8]}, published={"a": 0.9})
    signals = [results.Signal(init, seed, 67, "sample", (0.5, 0.2), (0.3, 0.1), (0.1, 0.1))
               for init in ("he", "xavier") for seed in (0, 1)]
    figure = plots.draw_comparisons([found], signals)
    above, below = figure.axes
    dots = [tuple(line.get_ydata()) for line in above.lines]
    assert {(0.5, 0.4), (0.6, 0.5), (0.7, 0.8), (0.9,)} <= set(dots)
    assert [text.get_text() for text in above.get_xticklabels()] == ["a", "b"]
    assert len(below.lines) == 4 and below.get_yscale() == "log"


def test_interrupted_and_called_again_for_real(here):
    """On the sample, in processes, an exercise of two variants; Ctrl-C comes in the first step."""
    code = ("import sys\n"
            "from nin_gluon import exercises\n"
            "from nin_gluon.experiments.exercises.exercise import Exercise, Part\n"
            "from nin_gluon.settings import TEXTBOOK\n"
            "part = Part('p', 'Two nets', {**TEXTBOOK, 'dataset': 'sample', 'resize': 67,\n"
            "    'batch_size': 8}, {'one': {}, 'two': {'model': 'nin_variant,inner=0'}})\n"
            "exercises.EXERCISES['x'] = Exercise('x', 'why?', 'so', (part,), 1, stall=True)\n"
            "sys.exit(exercises.main(sys.argv[1:]))")
    options = ["x", "--limit", "16", "--epochs", "1", "--seeds", "3", "--dtype", "float32"]
    command = [sys.executable, "-c", code, *options]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in first.stderr:
        lines.append(line)
        if line == "training on cpu(0)\n":
            first.send_signal(signal.SIGINT)
    assert (first.wait(), first.stdout.read()) == (130, ""), lines
    assert lines[-1].startswith("go on with: ")
    assert lines[-1].endswith("nin_gluon.exercises " + " ".join(options) + "\n")
    assert not Path("results").exists()
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    kept, _ = results.read(here / "results/exercises/x-epochs-1-limit-16.json")
    assert [run.record.seed for run in kept] == [3, 3]
    assert {run.parameters for run in kept} == {1_992_166, 1_992_166 - 2 * sum(
        c * c + c for c in (96, 256, 384, 10))}
    assert [(run.steps, run.stall, run.test_images) for run in kept] == [(2, None, 16)] * 2
    # Xavier's maps are small, and not zero.
    assert all(1 <= run.alive <= 10 for run in kept)
    assert all(run.record.machine["mxnet"] == "1.9.1" for run in kept)
    assert "one" in second.stdout and "all 2" in second.stdout
