"""What the processes of a job are planned to be, and the lines they print."""

import os
import sys

import pytest

from nin_gluon.training import processes
from nin_gluon.training.guard import Order


@pytest.mark.parametrize("chunks, lines", [
    ([b"a\nb\n"], [b"a", b"b"]),
    ([b"a", b"b\nc"], [b"ab", b"c"]),
    ([b"a\r", b"\nb\r\n"], [b"a", b"b"]),  # the line end of another system, in two pieces
    ([b"1%\r2%\r", b"3%\rdone\n"], [b"done"]),
    ([b"50%\r100%\r"], [b"100%"]),
    (["é".encode()[:1], "é".encode()[1:] + b"\n"], ["é".encode()]),
    ([], []),
])
def test_lines_are_as_a_terminal_leaves_them(chunks, lines, monkeypatch):
    chunks = iter([*chunks, b""])
    monkeypatch.setattr(os, "read", lambda descriptor, size: next(chunks))
    assert list(processes.lines_of(0)) == lines


def test_workers_and_servers_take_turns_on_the_hosts():
    planned = processes.plan(3, 2, ["127.0.0.1", "localhost"], ["train", "it"], "launch -- ")
    assert [(p.name, p.host) for p in planned] == [
        ("scheduler", None), ("server 0", "127.0.0.1"), ("server 1", "localhost"),
        ("worker 0", "127.0.0.1"), ("worker 1", "localhost"), ("worker 2", "127.0.0.1")]
    scheduler, server, *_, worker = (p.order for p in planned)
    assert scheduler.command == [sys.executable, "-m", "nin_gluon.launch", "--serve"]
    assert (scheduler.remote, server.remote, worker.remote) == (False, True, True)
    assert (server.sharers, worker.sharers) == (2, 2)  # two of the workers are on that host
    assert worker.command == ["train", "it"]
    roles = [p.order.environment["DMLC_ROLE"] for p in planned]
    assert roles == ["scheduler", "server", "server", "worker", "worker", "worker"]
    ids = [p.order.environment.get("DMLC_WORKER_ID") for p in planned]
    assert ids == [None, None, None, "0", "1", "2"]
    environment = worker.environment
    assert (environment["DMLC_NUM_WORKER"], environment["DMLC_NUM_SERVER"]) == ("3", "2")
    assert environment["NIN_GLUON_LAUNCH"] == "launch -- "


def test_on_this_machine_alone_the_processes_meet_at_its_own_address():
    planned = processes.plan(2, 1, [None], ["true"], "")
    assert {p.host for p in planned} == {None}
    assert {p.order.environment["DMLC_PS_ROOT_URI"] for p in planned} == {"127.0.0.1"}
    assert not any(p.order.remote for p in planned)


def test_servers_are_started_as_the_launcher_asks():
    planned = processes.plan(1, 1, [None], ["true"], "", serve="--serve-any")
    assert [p.order.command[-1] for p in planned] == ["--serve-any", "--serve-any", "true"]


def test_an_order_arrives_as_it_was_sent():
    order = Order(["sh", "-c", "echo 'é\n'"], {"A": "b c"}, sharers=2, remote=True)
    assert order.to_line().count(b"\n") == 1  # the guard reads one line
    assert Order.from_line(order.to_line()) == order
