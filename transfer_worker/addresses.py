"""Where a worker is in its network, for the audit log: flow logs of the network know it by the same address."""

import ipaddress
import socket
from collections.abc import Callable


def find_own_address(resolve: Callable[[str], str] = socket.gethostbyname) -> str | None:
    """The address that the host's own name stands for: of a task on Fargate, that of its network interface.

    None where that says nothing: a loopback address, or no address at all.
    """
    try:
        address = ipaddress.ip_address(resolve(socket.gethostname()))
    except (OSError, ValueError):
        return None
    says_nothing = address.is_loopback or address.is_unspecified or address.is_link_local
    return None if says_nothing else str(address)
