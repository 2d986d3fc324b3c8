"""The package without PyTorch.

Without MXNet the edition runs in ``tests/commands/test_readme_in_torch.py``, beside other commands.
"""

import importlib.util
import subprocess
import sys

import pytest

from nin_gluon import InputError, torch_edition


def test_without_pytorch_it_says_how_to_get_it(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == "torch" else found(name, *rest))
    assert torch_edition.main([]) == 2
    error = capsys.readouterr().err
    assert "PyTorch is not installed; in a checkout of the project, run: pip install" in error
    assert error.count("\n") == 1
    from nin_gluon import from_torch, to_torch  # the names are there, and say the same

    for function in (from_torch, to_torch):
        with pytest.raises(InputError, match="PyTorch is not installed"):
            function(None)


def test_help_imports_neither_framework():
    code = ("import sys; from nin_gluon.torch_edition import main\n"
            "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
            "assert not {'torch', 'mxnet', 'matplotlib'} & set(sys.modules)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "--mode" in run.stdout
