"""The weights from which the chapter's code starts if it sets no seed."""

import contextlib
import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import unseeded
from nin_gluon.experiments.jobs import Runner
from nin_gluon.experiments.stores import write_record
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.initial_parameters import digest_of
from tests import forked_python
from tests.experiments.made_runs import make_record, make_run

ROOT = Path(__file__).parent.parent

# The chapter's cells up to the training, in the first edition's words and in the later ones'. The
# two interfaces draw from generators of their own, so one process is fresh for both.
CELLS = """
import hashlib
import nin_gluon
from mxnet import init, nd, np, npx

def start(X):
    net = nin_gluon.nin()
    net.initialize()
    for layer in net:
        X = layer(X)
    net.initialize(force_reinit=True, init=init.Xavier())
    digest = hashlib.sha256()
    for parameter in net.collect_params().values():
        digest.update(parameter.data().asnumpy().tobytes())
    print(digest.hexdigest())

start(nd.random.uniform(shape=(1, 1, 224, 224)))
npx.set_np()
start(np.random.uniform(size=(1, 1, 224, 224)))
"""


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """The files with the two starts."""
    folder = tmp_path_factory.mktemp("starts")
    files = {edition: folder / f"{edition}.params" for edition in unseeded.EDITIONS}
    for edition, path in files.items():
        unseeded.write_start(edition, path)
    return files


def run_cells():
    """What they print in this process, which has imported MXNet, but computed nothing yet."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(CELLS, {})
    return said.getvalue()


def test_they_are_those_of_a_fresh_process(starts):
    from mxnet import nd

    fresh = forked_python.call(run_cells)
    digests = []
    for path in starts.values():
        digest = hashlib.sha256()
        for value in nd.load(str(path)).values():
            digest.update(value.asnumpy().tobytes())
        digests.append(digest.hexdigest())
    assert fresh.split() == digests


def test_the_kept_runs_began_with_them(starts):
    for edition, path in starts.items():
        records = unseeded.store_of(ROOT / "results", edition).read().values()
        assert records
        for record in records:
            assert record.settings.init_from == digest_of(path) and record.start.living
            assert any(unseeded.is_run_of(record, recipe)
                       for recipe in (unseeded.RECIPE, unseeded.SHORT))


@pytest.mark.parametrize("option, settings", [
    ([], unseeded.RECIPE.but(epochs=1)), (["--epochs", "5"], unseeded.RECIPE),
    (["--short"], unseeded.SHORT)])
def test_each_run_starts_from_its_file_and_is_made_once(option, settings, tmp_path, monkeypatch,
                                                        capsys):
    made, started = [], []

    def call(self, job):
        made.append((job.settings.seed, job.init_file.name))
        log = [EpochRecord(number, 2.0, 0.2, 0.3, 60.0) for number in range(1, 11)]
        assert job.settings == settings.but(seed=job.settings.seed, dtype="bfloat16",
                                            init_from=digest_of(job.init_file))
        make_run(job.folder, job.settings, log[:settings.epochs])
        return 0

    monkeypatch.setattr(Runner, "call", call)
    monkeypatch.setattr(unseeded, "write_start", lambda edition, path: path.write_text(edition))
    monkeypatch.setattr(unseeded, "measure_start", lambda *args: started.append(args))
    options = ["--seeds", "1-2", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path),
               *option]
    for _ in range(2):
        assert unseeded.main(options) == 0
        assert made == [(1, "mxnet.params"), (1, "mxnet-np.params"),
                        (2, "mxnet.params"), (2, "mxnet-np.params")]
    assert [Path(weights).name for _, _, weights in started] == [name for _, name in made]
    records = unseeded.store_of(tmp_path, "mxnet").read().values()
    assert [record.command for record in records] == [
        f"python -m benchmarks.unseeded --seeds {seed} {' '.join(option or ['--epochs', '1'])} "
        "--dtype bfloat16" for seed in (1, 2)]
    rows = capsys.readouterr().out.count("| first edition, our runs from their weights | 2 | ")
    assert rows == (0 if option == ["--short"] else 2)


def test_what_ends_a_run_ends_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Runner, "call", lambda self, job: 130)
    monkeypatch.setattr(unseeded, "write_start", lambda edition, path: path.write_text(edition))
    options = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert unseeded.main(options) == 130 and capsys.readouterr().out == ""


def epochs_of(accuracy, living):
    """Ten epochs that end so."""
    return tuple(EpochRecord(number, 2.0, 0.2, accuracy, 3.0, tuple(range(living)))
                 for number in range(1, 11))


def test_how_the_runs_end(tmp_path):
    assert unseeded.ends(tmp_path, unseeded.SHORT) == ""
    runs = {"mxnet": [(0.7, 10), (0.6, 9), (0.1, 0)], "mxnet-np": [(0.8, 8)]}
    for edition, ends in runs.items():
        store = unseeded.store_of(tmp_path, edition)
        for seed, end in enumerate(ends):
            record = make_record(unseeded.SHORT.but(seed=seed), [])
            store.add(replace(record, history=epochs_of(*end)), tmp_path)
        # Neither a run of another length nor one that diverged counts.
        store.add(make_record(unseeded.SHORT.but(epochs=1), [(2.0, 0.2, 0.3)]), tmp_path)
        store.add(make_record(unseeded.SHORT.but(seed=9), [], diverged="nan"), tmp_path)
    *rows, _, words = unseeded.ends(tmp_path, unseeded.SHORT).splitlines()[2:]
    assert rows == [
        "| first edition | 3 | 0.100 to 0.700, median 0.600 | 0 to 10, median 9 "
        "| 2 of 3 (21% to 94%) |",
        "| later editions | 1 | 0.800 to 0.800, median 0.800 | 8 to 8, median 8 "
        "| 0 of 1 (0% to 79%) |"]
    # Alone, 0.8 or 0.1 is at least as far from the mean of the others; 0.7 and 0.6 are not.
    assert float(words.split("p = ")[1].rstrip(".")) == pytest.approx(0.5, abs=0.02)


def test_the_rows(tmp_path):
    for name, losses in (("unseeded/mxnet-np/seed-{}", (2.1, 2.3, 2.25)),
                         ("textbook/seed-{}", (2.0,))):
        for seed, loss in enumerate(losses):
            path = tmp_path / f"{name.format(seed)}.jsonl"
            path.parent.mkdir(exist_ok=True, parents=True)
            settings = unseeded.RECIPE.but(seed=seed, dtype="bfloat16")
            write_record(path, make_record(settings, [(loss, 0.2, 0.3)] * 5))
    rows = unseeded.first_epochs(tmp_path).splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| first edition, published", "23"], ["| later editions, published", "23"],
        ["| later editions, our runs from their weights", "3"],
        ["| our seeds, with weights of their own", "1"]]
    assert "| 2.142 to 2.272, median 2.247 |" in rows[0]
    assert rows[2].endswith(
        "| 2.100 to 2.300, median 2.250 | 0.200 to 0.200, median 0.200 "
        "| 0.300 to 0.300, median 0.300 | not counted |")


def test_a_longer_run_of_a_seed_is_no_second_first_epoch(tmp_path):
    store = unseeded.store_of(tmp_path, "mxnet")
    for epochs in (1, 5):
        store.add(make_record(unseeded.RECIPE.but(epochs=epochs), [(2.1, 0.2, 0.3)] * epochs),
                  tmp_path)
    store.add(make_record(unseeded.RECIPE.but(seed=1), [], diverged="nan"), tmp_path)
    assert "| first edition, our runs from their weights | 1 | " in unseeded.first_epochs(tmp_path)


def test_the_pages_have_the_table():
    folder, table = ROOT / "docs" / "explanation", unseeded.first_epochs(ROOT / "results")
    assert table in (folder / "lottery.md").read_text("utf-8")
    chinese = (folder / "lottery.zh.md").read_text("utf-8")
    short, _ = unseeded.ends(ROOT / "results", unseeded.SHORT).split("\n\n")
    assert short in (folder / "lottery.md").read_text("utf-8")
    for row in short.splitlines()[2:]:
        cells = row.replace(" to ", " 至 ").replace(", median ", "，中位数 ").split(" | ")[1:4]
        assert " | ".join(cells) in chinese, row
    for row in table.splitlines()[2:]:
        cells = row.replace(" to ", " 到 ").replace(", median ", "，中位数 ").split(" | ")[1:5]
        assert " | ".join(cells) in chinese, row
