"""Sockets that are only drained are few compared with the descriptors that there are."""

from __future__ import annotations

import asyncio
import os
import resource
import socket

import pytest

from streamer.transports.linger import SHARE, Linger


class Stream:
    """A transport, as far as its socket is asked for."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def get_extra_info(self, _name: str) -> socket.socket:
        return self._socket


@pytest.fixture
def stream():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Stream(ours)


async def test_a_flood_of_them_is_bounded(stream, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2 * SHARE, 1024))
    everyone: set[Linger] = set()
    for _ in range(5):
        Linger.begin(stream, asyncio.get_running_loop(), everyone)
    assert len(everyone) == 2
    for one in list(everyone):
        one.end()


async def test_without_a_descriptor_there_is_none(stream, monkeypatch):
    def refuse(_descriptor):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "dup", refuse)
    everyone: set[Linger] = set()
    Linger.begin(stream, asyncio.get_running_loop(), everyone)
    assert not everyone
