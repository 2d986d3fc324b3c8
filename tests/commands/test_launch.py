"""The launcher, with commands that need no MXNet. Real training is in training/test_workers.py."""

import os
import signal
import subprocess
import sys
import time
import uuid
from functools import partial

import pytest

from nin_gluon import launch
from nin_gluon.runtime import available_cpus
from nin_gluon.training import processes as job_processes
from tests import refusals
from tests.linux_processes import AVAILABLE, processes_with
from tests.small_jobs import LAUNCH_WITH_SLEEPERS as LAUNCH
from tests.small_jobs import plan_with_sleepers

refused = partial(refusals.refused, launch.main)

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="looks into Linux's /proc")


@pytest.fixture(autouse=True)
def sleeping_servers(monkeypatch):
    """The same where `launch.main` is called in this process.

    It does not wait for the servers to end: only workers that use MXNet tell them that they may.
    """
    monkeypatch.setattr(launch, "plan", plan_with_sleepers)
    monkeypatch.setattr(job_processes, "LEAVE_SECONDS", 0)


@pytest.fixture
def mark(monkeypatch):
    """A value in the environment by which this test knows its processes."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("NIN_GLUON_TEST", mark)
    yield mark
    for pid in processes(mark):
        os.kill(pid, signal.SIGKILL)


def processes(mark, *more):
    """Ids of the other processes that have the mark, and `more`, in their environment."""
    return processes_with(f"NIN_GLUON_TEST={mark}", *more)


def test_each_line_has_its_process_before_it_and_keeps_its_stream(mark, capfd):
    """And a child that a worker leaves behind ends with it."""
    script = r"""
        sleep 1000 &
        printf 'first\nzwei \303\244\r\n  10%%\r  90%%\rdone\n\nno end' ; echo trouble >&2
        test $DMLC_WORKER_ID = 0 && echo $DMLC_ROLE of $DMLC_NUM_WORKER"""
    assert launch.main(["-n", "2", "-s", "1", "--", "sh", "-c", script + " || true"]) == 0
    out, error = (captured.splitlines() for captured in capfd.readouterr())
    lines = ["first", "zwei ä", "done", "", "no end"]
    for worker, more in ((0, [*lines[:-1], "no endworker of 2"]), (1, lines)):
        assert [line.partition(" | ")[2] for line in out
                if line.startswith(f"worker {worker} | ")] == more
    assert sorted(error) == ["worker 0 | trouble", "worker 1 | trouble"]
    assert processes(mark) == []


@pytest.mark.parametrize("end, status, sentence, trap", [
    ("exit 7", 7, "worker 1 ended with status 7", "trap '' TERM INT"),  # deaf, so it is killed
    ("kill -9 $$", 137, "worker 1 was killed by signal 9 (SIGKILL)", ""),
])
def test_the_first_failure_ends_the_others_and_is_the_status(mark, monkeypatch, tmp_path, capfd,
                                                             end, status, sentence, trap):
    monkeypatch.setattr(job_processes, "END_SECONDS", 0.3)
    script = f"""
        {trap}
        test $DMLC_WORKER_ID = 0 && touch {tmp_path}/ready && sleep 1000
        while ! test -e {tmp_path}/ready; do sleep 0.02; done
        {end}"""
    started = time.time()
    assert launch.main(["-n", "2", "--", "sh", "-c", script]) == status
    assert capfd.readouterr().err == (
        f"nin_gluon.launch: {sentence}; ending the other processes\n")
    assert time.time() - started < 30
    assert processes(mark) == []


@pytest.mark.parametrize("signum, name", [(signal.SIGINT, "INT"), (signal.SIGTERM, "TERM")])
def test_worker_0_may_save_while_the_others_still_serve_it(mark, tmp_path, signum, name):
    script = f"""
        cd {tmp_path}
        save() {{ sleep 0.5; kill -0 $(cat pid) && echo saved with its help; exit 9; }}
        test $DMLC_WORKER_ID = 0 && trap save {name} || echo $$ > pid
        while ! test -s pid; do sleep 0.02; done
        echo ready
        while true; do sleep 0.1; done"""
    job = subprocess.Popen([*LAUNCH, "-n", "2", "--", "sh", "-c", script], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert {job.stdout.readline() for _ in range(2)} == {f"worker {i} | ready\n" for i in range(2)}
    job.send_signal(signum)
    job.send_signal(signum)  # make and shells send it to all of a group
    out, error = job.communicate(timeout=60)
    assert job.returncode == 128 + signum
    assert out == "worker 0 | saved with its help\n"
    assert error.startswith("nin_gluon.launch: stopping: worker 0 may finish its step and save\n")
    assert processes(mark) == []


def gone(mark, seconds=10):
    """Whether the processes are gone within some seconds."""
    deadline = time.time() + seconds
    while processes(mark) and time.time() < deadline:
        time.sleep(0.05)
    return not processes(mark)


def test_nothing_outlives_a_launcher_that_is_killed(mark):
    script = "trap '' TERM INT HUP; echo ready; while true; do sleep 1; done"
    job = subprocess.Popen([*LAUNCH, "-n", "2", "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert [len(job.stdout.readline()) > 0 for _ in range(2)]
    assert len(processes(mark)) >= 8  # four guards and what they guard
    job.kill()
    job.wait()
    assert gone(mark)
    job.stdout.close()


def test_nothing_outlives_a_guard_that_is_killed(mark):
    job = subprocess.Popen([*LAUNCH, "-n", "1", "--", "sleep", "1000"], stderr=subprocess.PIPE)
    while not processes(mark, "DMLC_ROLE=worker"):
        time.sleep(0.05)
    worker, = processes(mark, "DMLC_ROLE=worker")
    with open(f"/proc/{worker}/stat") as stat:
        parent = int(stat.read().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    _, error = job.communicate(timeout=60)
    assert job.returncode == 137 and b"worker 0 was killed by signal 9" in error
    assert processes(mark) == []


def test_a_reader_that_goes_away_stops_the_job(mark):
    script = "while true; do echo more; sleep 0.05; done"
    job = subprocess.Popen([*LAUNCH, "-n", "2", "--", "sh", "-c", script], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    job.stdout.readline()
    job.stdout.close()
    error = job.stderr.read()
    assert job.wait(60) == 128 + signal.SIGPIPE
    assert b"Traceback" not in error
    assert processes(mark) == []


@pytest.mark.parametrize("stderr", [subprocess.STDOUT, None])
def test_worker_0_may_save_though_nobody_reads_that_it_may(mark, tmp_path, stderr):
    """`... | head -1` and `... 2>&1 | head -1`."""
    script = f"""
        save() {{ sleep 1; echo whole > {tmp_path}/saved; exit 0; }}
        trap save TERM
        while true; do echo more; sleep 0.05; done"""
    job = subprocess.Popen([*LAUNCH, "-n", "1", "--", "sh", "-c", script], stdout=subprocess.PIPE,
                           stderr=stderr)
    job.stdout.readline()
    job.stdout.close()
    assert job.wait(60) == 128 + signal.SIGPIPE
    assert (tmp_path / "saved").read_text() == "whole\n"
    assert processes(mark) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("script", [
    "i=0; while test $i -lt 20000; do echo $i; i=$((i+1)); done; sleep 1000", "echo done"])
def test_output_that_finds_no_room_stops_the_job(mark, script):
    with open("/dev/full", "w") as full:
        job = subprocess.Popen([*LAUNCH, "-n", "1", "--", "sh", "-c", script], stdout=full,
                               stderr=subprocess.PIPE)
        _, error = job.communicate(timeout=60)
    assert job.returncode and b"Traceback" not in error
    assert b"standard output cannot be written: the disk is full; free some space" in error
    assert processes(mark) == []


def test_workers_share_the_processors_unless_the_user_says_otherwise(mark, monkeypatch, capfd):
    """If the user does, the value arrives as it is: see the test with two hosts."""
    monkeypatch.setattr(job_processes, "THREADS_GIVEN", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "99")  # set by our own import, not by the user
    assert launch.main(["-n", "2", "--", "sh", "-c", "echo $OMP_NUM_THREADS"]) == 0
    shown = [line.split()[-1] for line in capfd.readouterr().out.splitlines()]
    assert shown == 2 * [str(max(1, available_cpus() // 2))]


@pytest.fixture
def ends_with(monkeypatch):
    """Function of a status: from now on workers end with it at once, and no process is started."""

    def set_status(status):
        class Ended(job_processes.Process):
            def __init__(self, plan, ended, output_closed):
                self.plan, self.status = plan, status if plan.role == "worker" else 0
                ended(self)

        monkeypatch.setattr(job_processes, "Process", Ended)

    return set_status


@pytest.mark.parametrize("status, arguments, folder", [
    (3, ["--out", "my run"], "'my run'"),
    (3, ["--epochs", "2", "--resume", "runs/a"], "runs/a"),
    (3, [], "RUN (worker 0 has named it)"),
    (2, ["--out", "my run"], None),  # a wrong request
    (1, ["--out", "my run"], None),  # it has diverged, and would again
])
def test_a_failed_training_run_can_be_resumed(ends_with, capsys, monkeypatch, tmp_path, status,
                                              arguments, folder):
    ends_with(status)
    monkeypatch.chdir(tmp_path)
    for run_folder in ("my run", "runs/a"):
        (tmp_path / run_folder).mkdir(parents=True)
        (tmp_path / run_folder / "config.json").write_text("{}")
    command = [sys.executable, "-m", "nin_gluon.train", *arguments]
    assert launch.main(["-n", "1", "--", *command]) == status
    said = [f"worker 0 ended with status {status}; ending the other processes"]
    if folder:
        said.append("the run goes on from its last checkpoint with: python -m nin_gluon.launch "
                    f"-n 1 -- python -m nin_gluon.train --resume {folder}")
    assert capsys.readouterr().err.splitlines() == [f"nin_gluon.launch: {line}" for line in said]


def test_a_run_that_had_not_begun_is_to_be_started_again(ends_with, capsys, tmp_path):
    ends_with(3)
    folder = str(tmp_path / "run")
    command = [sys.executable, "-m", "nin_gluon.train", "--out", folder]
    assert launch.main(["-n", "1", "--", *command]) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        "nin_gluon.launch: the run had not begun; start it again"]


@pytest.mark.parametrize("command, trains", [
    (["python", "-m", "nin_gluon.train", "--epochs", "1"], True),
    (["nin-gluon", "train"], True),
    (["/usr/bin/nin-gluon", "train", "--epochs", "1"], True),
    (["nin-gluon", "shapes"], False),
    (["python", "mine.py"], False),
])
def test_which_commands_train(command, trains):
    """Those that get servers which run nothing that they are sent, and can be resumed."""
    assert launch.is_train_command(command) == trains


# ------------------------------------------------------------------ ssh


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """An ssh that writes down the host and runs the command here, in another environment."""
    path = tmp_path / "bin" / "ssh"
    path.parent.mkdir()
    path.write_text(f"""#!/bin/sh
        echo "$1" >> {tmp_path}/hosts-asked
        test "$1" = down && exit 255
        cd / && exec env -i PATH=/usr/bin:/bin NIN_GLUON_TEST=$NIN_GLUON_TEST HOST="$1" sh -c "$2"
        """)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_hosts_take_turns_and_the_command_arrives_as_it_was_given(mark, ssh, monkeypatch, capfd):
    folder = ssh / "it's a folder"
    folder.mkdir()
    (folder / "hosts").write_text("# two machines\nme@one  # the first\n\n  two\n")
    monkeypatch.setenv("NIN_GLUON_DATA", "/data of 'mine'")
    monkeypatch.setattr(job_processes, "THREADS_GIVEN", "5")  # by the user
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("SECRET", "not for others")
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(os.path.dirname(launch.__file__)))
    code = ("import os, sys; e = os.environ; print(e['HOST'], os.getcwd(), sys.argv[1:], "
            "e['NIN_GLUON_DATA'], e['OMP_NUM_THREADS'], e.get('SECRET'), e['DMLC_NODE_HOST'] > '')")
    arguments = ["a b", "$HOME", "'\"", "", "*"]
    monkeypatch.chdir(folder)
    status = launch.main(["-n", "3", "-s", "2", "-H", "hosts", "--", "python", "-c", code,
                          *arguments])
    out, error = capfd.readouterr()
    assert status == 0, error
    rest = f"{folder} {arguments} /data of 'mine' 5 None True"
    assert sorted(out.splitlines()) == [f"worker 0 | me@one {rest}", f"worker 1 | two {rest}",
                                        f"worker 2 | me@one {rest}"]
    asked = (ssh / "hosts-asked").read_text().split()
    assert sorted(asked) == ["me@one"] * 3 + ["two"] * 2
    assert gone(mark)


def test_a_host_that_ssh_does_not_reach_is_named(mark, ssh, capfd):
    (ssh / "hosts").write_text("up\ndown\n")
    assert launch.main(["-n", "2", "-H", str(ssh / "hosts"), "--", "sleep", "1000"]) == 255
    assert "worker 1 on down ended with ssh's own status 255" in capfd.readouterr().err
    assert gone(mark)


def test_a_command_that_a_host_does_not_have_is_named(mark, ssh, capfd):
    (ssh / "hosts").write_text("one\n")
    assert launch.main(["-n", "1", "-H", str(ssh / "hosts"), "--", "no-such-command"]) == 127
    opens, *rest = capfd.readouterr().err.splitlines()
    assert opens.startswith("nin_gluon.launch: opens TCP ports ")  # before anything is started
    assert rest == [
        "worker 0 | cannot run no-such-command: No such file or directory",
        "nin_gluon.launch: worker 0 on one ended with status 127; ending the other processes"]
    assert gone(mark)


def test_nothing_outlives_the_connection(mark, ssh):
    (ssh / "hosts").write_text("one\n")
    job = subprocess.Popen([*LAUNCH, "-n", "2", "-H", str(ssh / "hosts"), "--", "sh", "-c",
                            "trap '' TERM INT HUP; echo ready; while true; do sleep 1; done"],
                           stdout=subprocess.PIPE)
    assert [len(job.stdout.readline()) > 0 for _ in range(2)]
    job.kill()
    job.wait()
    assert gone(mark)
    job.stdout.close()


# ------------------------------------------------------------------ wrong requests


@pytest.mark.parametrize("argv, sentence", [
    (["-n", "0", "--", "true"], "-n 0: a job needs at least one"),
    (["-n", "2", "-s", "0", "--", "true"], "-s 0: a job needs at least one"),
    (["-n", "two", "--", "true"], "invalid int value: 'two'"),
    (["--", "true"], "the following arguments are required: -n"),
    ([], "the following arguments are required: -n"),
    (["-n", "2"], "there is no command for the workers; put it after --"),
    (["-n", "2", "--"], "there is no command for the workers; put it after --"),
    (["-n", "2", "python", "train.py"], "there is no command for the workers; put it after --"),
    (["-n", "2", "-x", "--", "true"], "unknown option '-x'"),
    (["-n", "2", "--", "no-such-command"], "'no-such-command' is not a command on this machine"),
    (["-n", "2", "-H", "no/such/file", "--", "true"],
     "the hosts file no/such/file cannot be read: it is not there"),
    (["-n", "2", "-H", "/", "--", "true"], "the hosts file / is a folder, not a file"),
    (["-n", "2", "-H", "/dev/zero", "--", "true"], "/dev/zero is a device, not a file"),
])
def test_wrong_requests_get_one_line_and_status_2(argv, sentence, capsys):
    assert sentence in refused(argv, capsys)


@pytest.mark.parametrize("content, sentence", [
    ("", "names no host"),
    ("# nobody\n\n", "names no host"),
    ("one two\n", "'one two' is not a host"),
    ("-oProxyCommand=x\n", "'-oProxyCommand=x' is not a host"),
    ("me@-oProxyCommand=x\n", "'me@-oProxyCommand=x' is not a host"),
    ("me@\n", "'me@' is not a host"),
    ("one\x00two\n", r"'one\x00two' is not a host"),
    (10**6 * "x" + "\n", "has 1,000,001 bytes and should have 1,000,000 at most"),
    ("\xff\xff", "is not UTF-8 text"),
    ("\xff\xfe", "names no host"),  # the mark of UTF-16, and no more
])
def test_wrong_hosts_files(tmp_path, content, sentence, capsys):
    (tmp_path / "hosts").write_text(content, "latin-1")
    argv = ["-n", "2", "-H", str(tmp_path / "hosts"), "--", "true"]
    assert sentence in refused(argv, capsys)
