"""What the user reads where MXNet cannot be imported."""

import re

import pytest
from cuda_stub import output, run_python

from nin_gluon import runtime


def test_the_message_about_missing_mxnet_names_both_extras():
    message = runtime.missing_mxnet_message("Linux", "x86_64")
    assert "pip install -e '.[cpu]'" in message and "pip install -e '.[gpu]'" in message
    assert "\n" not in message
    assert runtime.missing_mxnet_message("Linux", "aarch64") == message
    assert runtime.missing_mxnet_message("Darwin", "x86_64") == message


@pytest.mark.parametrize("system, machine", [
    ("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "ppc64le"), ("FreeBSD", "x86_64")])
def test_the_message_names_a_platform_without_wheels(system, machine):
    message = runtime.missing_mxnet_message(system, machine)
    assert f"no wheel for {system} on {machine}" in message
    assert "pip install" not in message  # it would not help


# With -S, Python finds only the standard library and the checkout.


def test_without_mxnet_a_command_says_so_in_one_line(tmp_path):
    done = run_python("-S", "-m", "nin_gluon.train", cwd=tmp_path, only_root=True)
    assert done.returncode == 2
    assert done.stderr == f"nin_gluon.train: error: {runtime.missing_mxnet_message()}\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())  # no run folder is left


def test_without_mxnet_on_a_platform_that_has_no_wheels(tmp_path):
    code = ("import platform, sys; platform.machine = lambda: 'riscv64'; "
            "from nin_gluon.train import main; sys.exit(main([]))")
    done = run_python("-S", "-c", code, cwd=tmp_path, only_root=True)
    assert done.returncode == 2
    assert re.fullmatch(r"nin_gluon\.train: error: .* no wheel for \w+ on riscv64, .*\n",
                        done.stderr)


def test_without_mxnet_importing_it_is_an_import_error():
    code = ("import nin_gluon\ntry:\n    import mxnet\nexcept ImportError as error:\n"
            "    print(type(error).__name__, error)")
    expected = f"MXNetUnavailable {runtime.missing_mxnet_message()}"
    assert output("-S", "-c", code, only_root=True) == expected


def test_a_traceback_shows_the_public_name():
    done = run_python("-S", "-c", "import nin_gluon, mxnet", only_root=True)
    assert done.stderr.splitlines()[-1].startswith("nin_gluon.runtime.MXNetUnavailable: ")
