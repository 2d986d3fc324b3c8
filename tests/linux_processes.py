"""What Linux says about processes that a test has started: which are left, where they listen."""

import ipaddress
import os
import struct
from pathlib import Path
from typing import Dict, Iterable, List, Tuple

AVAILABLE = os.path.isdir("/proc/self")
LISTENING = "0A"  # in the column st of /proc/net/tcp


def processes_with(*variables: str) -> List[int]:
    """Ids of the other processes that have these NAME=VALUE pairs in their environment."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended, or belongs to somebody else
            continue
        if pid != os.getpid() and all(v.encode() in environment for v in variables):
            found.append(pid)
    return found


def listening(pids: Iterable[int]) -> List[Tuple[str, int]]:
    """Addresses and ports of the TCP sockets on which these processes listen."""
    sockets = listening_sockets()
    found = []
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(link)
            except OSError:  # closed meanwhile
                continue
            if target in sockets:
                found.append(sockets[target])
    return found


def listening_sockets() -> Dict[str, Tuple[str, int]]:
    """The machine's listening TCP sockets, by the names that /proc/PID/fd has for them."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENING:
                address, _, port = local.partition(":")
                sockets[f"socket:[{rest[5]}]"] = (address_of(address), int(port, 16))
    return sockets


def address_of(hexadecimal: str) -> str:
    """An address as people write it; Linux shows its 32-bit words as this processor has them."""
    words = [int(hexadecimal[i : i + 8], 16) for i in range(0, len(hexadecimal), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    address = ipaddress.ip_address(packed)
    return str(getattr(address, "ipv4_mapped", None) or address)
