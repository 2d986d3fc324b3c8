"""Where the processes of a job meet. Hosts files are in commands/test_launch.py."""

from nin_gluon.training import hosts


def test_the_scheduler_is_where_the_hosts_can_reach_it():
    assert hosts.address_for(["127.0.0.1"]) == "127.0.0.1"
    assert hosts.address_for(["me@localhost"]).startswith("127.")
    assert hosts.address_for(["no-such-host.invalid"]).count(".") == 3
    assert 1024 <= hosts.free_port("127.0.0.1") < 65536
