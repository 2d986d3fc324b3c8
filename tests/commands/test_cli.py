"""What all commands share."""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest

from nin_gluon import InputError, cli
from tests.experiments.made_runs import make_book_run


def run(error, capsys):
    @cli.command
    def main(argv=None):
        raise error

    status = main([])
    return status, capsys.readouterr().err


@pytest.mark.parametrize("error, sentence", [
    (InputError("what is wrong; what to do"), "what is wrong; what to do"),
    (PermissionError(13, "Permission denied", "/some/folder"),
     "/some/folder: permission is denied; change the permissions, or choose another place"),
    (OSError(28, "No space left on device", "/some/folder"),
     "/some/folder: the disk is full; free some space"),
])
def test_what_the_user_can_mend_is_one_line_and_status_2(error, sentence, capsys):
    status, line = run(error, capsys)
    assert status == 2
    assert line.endswith(f"error: {sentence}\n") and line.count("\n") == 1


def test_our_own_bugs_keep_their_traceback(capsys):
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError(), capsys)


@pytest.mark.parametrize("path", ["/data/caf\udce9", "a\nb", "a\0b"])
def test_a_path_that_cannot_be_kept_is_refused(path):
    with pytest.raises(argparse.ArgumentTypeError, match="cannot be printed; give a path in UTF-8"):
        cli.whole_path(path)
    assert cli.utf8_path("图/a\u3000b") == "图/a\u3000b"


def test_ctrl_c_is_status_130(capsys):
    assert run(KeyboardInterrupt(), capsys) == (130, "interrupted\n")


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert cli.command(lambda argv: print("文.json"))([]) == 0
    assert written.getvalue() == b"\\u6587.json\n"


def test_a_command_that_returns_nothing_has_succeeded():
    assert cli.command(lambda argv: None)([]) == 0


def test_the_console_script_names_its_verbs(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [verb for verb in cli.VERBS
                if not any(line.startswith(f"  {verb} ") for line in lines)]
    with pytest.raises(SystemExit) as end:
        cli.main(["fly"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "'fly'" in error and error.count("\n") == 1


def test_every_verb_is_a_command():
    for verb in cli.VERBS:
        with pytest.raises(SystemExit) as end:
            cli.main([verb, "--help"])
        assert end.value.code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("runs", [2, 80], ids=["little output", "more than a buffer"])
def test_output_to_a_full_disk_is_one_line_and_status_2(tmp_path, runs):
    """With a command that needs no MXNet, which would take a second to import."""
    names = [str(make_book_run(tmp_path / str(seed), seed)) for seed in range(runs)]
    command = [sys.executable, "-m", "nin_gluon.compare", *names]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        2, "nin_gluon.compare: error: the disk is full; free some space\n")


def test_a_reader_that_has_gone_does_not_make_a_success(monkeypatch):
    @cli.command
    def main(argv=None):
        return 2

    def gone():
        raise BrokenPipeError

    monkeypatch.setattr(cli, "flush_stdout", gone)
    monkeypatch.setattr(cli, "silence_stdout", lambda: None)
    assert main([]) == 2


def test_a_closed_stdout_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert run(InputError("what is wrong"), capsys)[0] == 2
    assert cli.command(lambda argv=None: None)([]) == 0


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """With a command that needs no MXNet, which would take a second to import."""
    runs = [str(make_book_run(tmp_path / name, 0)) for name in "ab"]
    compare = [sys.executable, "-m", "nin_gluon.compare", *runs]
    process = subprocess.Popen(compare, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
