"""The weights from which the chapter's code starts if it sets no seed."""

import contextlib
import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import unseeded
from nin_gluon.experiments.stores import read_record, write_record
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.initial_parameters import digest_of
from tests import forked_python
from tests.experiments.made_runs import make_book_run, make_record

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
        records = sorted((ROOT / "results" / "unseeded").glob(f"{edition}-[bf]*.jsonl"))
        assert records
        for record in map(read_record, records):
            assert record.settings.init_from == digest_of(path) and record.start.living
            assert record.settings.but(init_from=None, epochs=5, dtype="float32", seed=0) == \
                TEXTBOOK.but(dataset="fashion-mnist")


def test_a_run_is_begun_or_goes_on_and_is_made_once(tmp_path, monkeypatch, capsys):
    called, started, status = [], [], [130, 0]

    def train(command):
        called.append(command[3:])
        if "--out" in command:
            make_book_run(Path(command[command.index("--out") + 1]), 1)
        return SimpleNamespace(wait=lambda: status.pop(0) if status else 0)

    monkeypatch.setattr(unseeded, "EDITIONS", {"mxnet": (5, "first edition")})
    monkeypatch.setattr(unseeded, "subprocess", SimpleNamespace(Popen=train))
    monkeypatch.setattr(unseeded, "write_start", lambda edition, path: path.touch())
    monkeypatch.setattr(unseeded, "measure_start", lambda *args: started.append(args))
    options = ["--seeds", "1", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert unseeded.main(options) == 130
    assert unseeded.main(options) == 0
    run = str(tmp_path / "runs" / "mxnet-bfloat16-cpu-seed-1")
    assert called[0][:4] == ["--dataset", "fashion-mnist", "--epochs", "1"]
    assert called[0][-2:] == ["--out", run] and called[1] == ["--resume", run]
    (_, _, weights), = started
    assert weights == called[0][called[0].index("--init-from") + 1]
    capsys.readouterr()
    assert unseeded.main(options) == 0 and len(called) == 2
    assert "| first edition, our runs from their weights | 1 | " in capsys.readouterr().out


def test_the_rows(tmp_path):
    for name, losses in (("unseeded/mxnet-np-bfloat16-cpu-seed-{}", (2.1, 2.3, 2.25)),
                         ("textbook/bfloat16-cpu-seed-{}", (2.0,))):
        for seed, loss in enumerate(losses):
            path = tmp_path / f"{name.format(seed)}.jsonl"
            path.parent.mkdir(exist_ok=True)
            write_record(path, make_record(TEXTBOOK.but(dataset="fashion-mnist", seed=seed),
                                           [(loss, 0.2, 0.3)] * 5))
    rows = unseeded.table(tmp_path).splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| first edition, published", "23"], ["| later editions, published", "23"],
        ["| later editions, our runs from their weights", "3"],
        ["| our seeds, with weights of their own", "1"]]
    assert "| 2.142 to 2.272, median 2.247 |" in rows[0]
    assert rows[2].endswith(
        "| 2.100 to 2.300, median 2.250 | 0.200 to 0.200, median 0.200 | not counted |")


def test_the_pages_have_the_table():
    folder, table = ROOT / "docs" / "explanation", unseeded.table(ROOT / "results")
    assert table in (folder / "lottery.md").read_text("utf-8")
    chinese = (folder / "lottery.zh.md").read_text("utf-8")
    for row in table.splitlines()[2:]:
        cells = row.replace(" to ", " 到 ").replace(", median ", "，中位数 ").split(" | ")[1:4]
        assert " | ".join(cells) in chinese, row
