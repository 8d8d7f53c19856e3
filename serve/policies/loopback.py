"""Loopback: whether an address or a name is this machine's own."""

import ipaddress

__all__ = ["is_loopback"]


def is_loopback(name: str) -> bool:
    """Whether a host is this machine: ``localhost``, 127.0.0.0/8 or ::1, mapped ones too."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
