"""The paper's run: which records count as one, what the table says, and when nothing is trained."""

import pytest

from benchmarks import paper
from nin_gluon.experiments.jobs import Runner
from nin_gluon.experiments.stores import RecordFolder
from nin_gluon.settings import PRESETS
from tests.experiments.made_runs import make_record

SHORT = paper.PAPER.but(epochs=2, schedule="cosine", dtype="bfloat16", seed=3)
HISTORY = [(2.0, 0.3, 0.5), (1.0, 0.6, 0.9)]


@pytest.fixture
def results(tmp_path):
    """A folder with a run of the paper's recipe and one of another."""
    store = RecordFolder(tmp_path / "results", paper.PAPER)
    other = PRESETS["paper-quick"].settings.but(dataset="cifar10", resize=32, epochs=2)
    for settings in (SHORT, other):
        store.add(make_record(settings, HISTORY), tmp_path)
    return store.path


def test_the_table_and_the_picture(results, capsys):
    assert paper.main(["--report", "--results", str(results)]) == 0
    out = capsys.readouterr().out
    assert "| the paper, with augmentation |  | 8.81 % | |" in out
    assert "| github.com/osmr/imgclsmob, Gluon, with augmentation |  | 7.43 % | |" in out
    # Each epoch took 3 s. 100 sqrt(0.1 0.9 / 10000) = 0.3
    assert "| ours, bfloat16 on cpu, seed 3 | 2 | 10.00 % | 0.0 |" in out
    assert out.count("| ours") == 1 and "all 307 epochs would take 0.3 hours" in out
    assert "good to 0.30 %" in out
    assert (results / "paper.png").read_bytes().startswith(b"\x89PNG")


def test_another_head_has_a_row_of_its_own(results, capsys):
    store = RecordFolder(results, paper.PAPER)
    store.add(make_record(SHORT.but(model="cifar_nin,head=fc"), HISTORY), results)
    store.add(make_record(SHORT.but(model="nin"), HISTORY), results)  # not the paper's net
    assert paper.main(["--report", "--results", str(results)]) == 0
    out = capsys.readouterr().out
    assert "| ours, bfloat16 on cpu, head fc, seed 3 | 2 | 10.00 % | 0.0 |" in out
    assert out.count("| ours") == 2
    assert "Seed 3: all 307" in out and "Head fc, seed 3: all 307" in out


def test_a_run_is_made_once(results, tmp_path, monkeypatch, capsys):
    asked = []

    def train(self, jobs):
        asked.extend((job.settings, job.own_data, job in self.missing([job])) for job in jobs)
        return 130

    monkeypatch.setattr(Runner, "train", train)
    monkeypatch.setattr(paper, "own_data", lambda name, folder: None)
    options = ["--epochs", "2", "--seeds", "3-4", "--results", str(results)]
    assert paper.main(options) == 130
    assert asked == [(SHORT, None, False), (SHORT.but(seed=4), None, True)]
    assert paper.main([*options, "--head", "fc_dropout"]) == 130
    assert asked[2][0] == SHORT.but(model="cifar_nin,head=fc_dropout") and asked[2][2]
    assert capsys.readouterr().out == ""


def test_without_records(tmp_path, capsys):
    assert paper.main(["--report", "--results", str(tmp_path)]) == 2
    assert "make one by: python -m benchmarks.paper" in capsys.readouterr().err
