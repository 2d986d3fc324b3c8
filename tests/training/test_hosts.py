"""Where the processes of a job meet. Hosts files are in commands/test_launch.py."""

from nin_gluon.training import hosts


def test_the_scheduler_is_where_the_hosts_can_reach_it():
    assert hosts.address_for(["127.0.0.1"]) == "127.0.0.1"
    assert hosts.address_for(["me@localhost"]).startswith("127.")
    assert hosts.address_for(["no-such-host.invalid"]).count(".") == 3
    assert 1024 <= hosts.free_port("127.0.0.1") < 65536


def test_a_name_that_no_name_server_knows_leads_nowhere():
    assert hosts.address_towards(300 * "x") is None  # longer than a name may be


def test_only_this_machine_reaches_its_loopback_addresses():
    assert hosts.is_loopback("127.0.0.1") and hosts.is_loopback("127.9.9.9")
    assert not hosts.is_loopback("0.0.0.0") and not hosts.is_loopback("192.0.2.1")
