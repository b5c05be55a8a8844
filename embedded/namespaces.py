"""Linux namespaces: a network that no other process sees, and a user who is not root.

Called in a process that has one thread, before it does anything else.
"""

import ctypes
import fcntl
import os
import pwd
import socket
import struct

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def own_network() -> None:
    """Move this process into a network of its own, which has nothing but a loopback. Sockets opened before stay where they are.

    Raises:
        OSError: the kernel, or the container around us, does not allow it.
    """
    try:
        _unshare(NEW_NETWORK)
    except OSError:
        uid, gid = os.geteuid(), os.getegid()
        _unshare(NEW_USER | NEW_NETWORK)
        _map(inside=(uid, gid), outside=(uid, gid))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        asked = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, asked))
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def not_root() -> None:
    """Move this process of root's to where it has another user's id and no power, and still owns root's files.

    Raises:
        OSError: the kernel, or the container around us, does not allow it.
    """
    entry = next(entry for entry in pwd.getpwall() if entry.pw_uid)  # programs look up their user's name
    outside = os.geteuid(), os.getegid()
    _unshare(NEW_USER)
    _map(inside=(entry.pw_uid, entry.pw_gid or entry.pw_uid), outside=outside)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _map(inside: tuple[int, int], outside: tuple[int, int]) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside[0]} {outside[0]} 1"),
        ("gid_map", f"{inside[1]} {outside[1]} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
