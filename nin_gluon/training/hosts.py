"""The machines of a distributed job: the hosts file, and the address where they meet."""

import ipaddress
import socket
from pathlib import Path
from typing import List, Optional, Sequence, Union

from nin_gluon.checked_files import BadFile, read_text, shown
from nin_gluon.errors import InputError

__all__ = ["address_for", "address_towards", "free_port", "is_loopback", "read_hosts"]

MOST_BYTES = 1_000_000  # of a hosts file


def read_hosts(path: Union[str, Path]) -> List[str]:
    """Read a hosts file: one host on a line, as ssh knows it; # starts a comment.

    Raises
    ------
    InputError
        The file cannot be read or is not text, a line is not a host, or there is no host.
    """
    wanted = "put one host on a line, as host or user@host."
    try:
        lines = read_text(path, MOST_BYTES, "utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"the hosts file {path} cannot be read: it is not there.") from None
    except BadFile as error:
        raise InputError(f"the hosts file {path} {error.found}; {wanted}") from None
    hosts = [line.partition("#")[0].strip() for line in lines]
    hosts = [host for host in hosts if host]
    for host in hosts:
        # ssh would take what begins with - for an option, and some options run commands.
        name = host.rpartition("@")[2]
        if not host.isprintable() or " " in host or host[0] == "-" or name[:1] in ("", "-"):
            raise InputError(f"{path}: {shown(host)} is not a host; {wanted}")
    if not hosts:
        raise InputError(f"{path} names no host; {wanted}")
    return hosts


def address_for(hosts: Sequence[str]) -> str:
    """This machine's IPv4 address as the hosts can reach it."""
    found = [address_towards(host.rpartition("@")[2]) for host in hosts]
    addresses = [address for address in found if address]
    if not addresses:
        # Perhaps only ssh knows the names. Then take the address towards the rest of the world;
        # 192.0.2.1 is reserved for examples.
        addresses = [address_towards("192.0.2.1") or "127.0.0.1"]
    # An address that other machines can reach is better than one for this machine only.
    return next((a for a in addresses if not is_loopback(a)), addresses[0])


def address_towards(host: str) -> Optional[str]:
    """The IPv4 address of this machine's interface towards a host; None if there is no way."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((host, 9))  # sends nothing, only chooses the interface
            address: str = s.getsockname()[0]
            return address
    except (OSError, ValueError):  # ValueError: no name of the domain name system looks like that
        return None


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an IP address."""
    return ipaddress.ip_address(address).is_loopback


def free_port(address: str) -> int:
    """A TCP port of this address that is not in use now."""
    with socket.socket() as s:
        s.bind((address, 0))
        port: int = s.getsockname()[1]
        return port
