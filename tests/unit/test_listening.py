"""The socket of the port: what it accepts sends each answer at once."""

from __future__ import annotations

import socket

import pytest

from connector.app.commands.serve import listening
from connector.errors import FixConfig


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_what_it_accepts_waits_for_no_acknowledgement(bind: str) -> None:
    try:
        listener = listening(bind)
    except FixConfig:
        pytest.skip("this machine has no such loopback")
    with listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_stops_the_start() -> None:
    with listening("127.0.0.1:0") as taken, pytest.raises(FixConfig, match="cannot be used"):
        listening(f"127.0.0.1:{taken.getsockname()[1]}")
