"""Run folders of the PyTorch edition from strangers: nothing in them is run."""

import shutil
from pathlib import Path

import pytest

from tests.hostile_files import CONTENTS, KINDS, PLACES, Trap, check_refused
from tests.torch_edition.small import SMALL

torch = pytest.importorskip("torch")

from nin_gluon import torch_edition  # noqa: E402

pytestmark = pytest.mark.usefixtures("quick")

OLD_RUN = Path(__file__).parent / "run_of_version_0_1"
ONE_FILE_RUN = Path(__file__).parent / "run_saved_in_one_file"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("made") / "run"


@pytest.fixture
def run(quick, made, tmp_path):
    """A copy of a finished run, which is made once."""
    if not made.exists():
        assert torch_edition.main([*SMALL, "--epochs", "1", "--out", str(made)]) == 0
    return shutil.copytree(made, tmp_path / "run")


@pytest.mark.parametrize("name", ["config.json", "state.json", "net.safetensors",
                                  "optimizer.safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_hostile_run_is_resumed(run, tmp_path, capsys, name, kind):
    folder = run if name == "config.json" else next((run / "checkpoint").iterdir())
    KINDS[kind](folder / name, tmp_path / "trap")
    check_refused(torch_edition.main, ["--resume", run], run, name, tmp_path / "trap", capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_no_hostile_run_saved_in_one_file_is_resumed(tmp_path, capsys, kind):
    run, name = tmp_path / "old", "checkpoint.safetensors"
    shutil.copytree(ONE_FILE_RUN, run)
    KINDS[kind](run / name, tmp_path / "trap")
    check_refused(torch_edition.main, ["--resume", run], run, name, tmp_path / "trap", capsys)


@pytest.mark.parametrize("kind", [*KINDS, "PyTorch's pickle", "PyTorch's older pickle"])
def test_no_hostile_run_of_version_0_1_is_resumed(tmp_path, capsys, kind):
    run, trap = tmp_path / "old", tmp_path / "trap"
    shutil.copytree(OLD_RUN, run)
    if kind in KINDS:
        KINDS[kind](run / "checkpoint.pt", trap)
    else:
        torch.save({"net": Trap(trap)}, run / "checkpoint.pt",
                   _use_new_zipfile_serialization=kind == "PyTorch's pickle")
    check_refused(torch_edition.main, ["--resume", run], run, "checkpoint.pt", trap, capsys)


WRITTEN = ["history.jsonl", "curves.png", "model-0001.safetensors"]


# In place of what is written, a file of /proc is an ordinary one, which the new one replaces.
@pytest.mark.parametrize("name, kind", [
    (name, kind) for name in [*WRITTEN, ".lock"] for kind in PLACES
    if name == ".lock" or kind != "a file of /proc"])
def test_what_is_in_the_way_is_said(run, tmp_path, capsys, name, kind):
    PLACES[kind](run / name, tmp_path / "trap")
    check_refused(torch_edition.main, ["--resume", run], run, name, tmp_path / "trap", capsys)


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_is_not_read_is_written_anew(run, tmp_path, kind):
    history = (run / "history.jsonl").read_bytes()
    for name in WRITTEN:
        CONTENTS[kind](run / name, tmp_path / "trap")
    assert torch_edition.main(["--resume", str(run)]) == 0
    assert (run / "history.jsonl").read_bytes() == history
    assert not (tmp_path / "trap").exists()
