"""The demo command: what it says before it serves."""

import socket

import pytest

from nin_gluon import demo
from nin_gluon.runtime import MXNetUnavailable


def refused(capsys, *arguments):
    assert demo.main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("nin_gluon.demo: error: ") and err.count("\n") == 1
    return err


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    return tmp_path


def test_without_the_extra(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = refused(capsys)
    assert "starlette and uvicorn are not installed" in error and ".[demo]" in error


def test_no_run_folder(empty, capsys):
    pytest.importorskip("uvicorn")
    assert "is not a run folder" in refused(capsys, empty / "nothing")


def test_no_net_at_all(empty, capsys):
    pytest.importorskip("uvicorn")
    error = refused(capsys)
    assert "there is no net to show" in error and "there is no trained nin in" in error


def test_a_device_that_is_not_there(empty, capsys):
    pytest.importorskip("uvicorn")
    assert "'foo' is not a device" in refused(capsys, "--ctx", "foo")


def test_nothing_that_can_compute(empty, monkeypatch, capsys):
    pytest.importorskip("uvicorn")

    def unavailable(engine, ctx):
        raise MXNetUnavailable("MXNet cannot be imported here")

    monkeypatch.setattr(demo, "devices_of", unavailable)
    assert "MXNet cannot be imported here" in refused(capsys)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x"])
def test_a_port_that_is_none(port, capsys):
    with pytest.raises(SystemExit) as end:
        demo.main(["--port", port])
    assert end.value.code == 2 and "--port" in capsys.readouterr().err


def test_a_taken_port(empty, capsys):
    pytest.importorskip("uvicorn")
    from nin_gluon.errors import InputError
    from nin_gluon.playground.server import LOOPBACK, open_socket

    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken"):
            open_socket(port)
    listening, port = open_socket(0)
    with listening:
        assert listening.getsockname() == (LOOPBACK, port)  # nobody else can reach it


def test_it_opens_the_browser_unless_told_not_to(empty, monkeypatch, capsys):
    pytest.importorskip("uvicorn")
    from nin_gluon.playground import nets, server

    opened = []
    monkeypatch.setattr(demo.webbrowser, "open", opened.append)
    monkeypatch.setattr(nets.Nets, "ids", lambda self: [":pretrained"])
    monkeypatch.setattr(server, "serve", lambda app, listening: listening.close())
    assert demo.main(["--no-browser"]) == 0 and not opened
    assert demo.main([]) == 0
    address = capsys.readouterr().out.split("\n")[1].split()[0]
    assert opened == [address] and address.startswith("http://127.0.0.1:")
