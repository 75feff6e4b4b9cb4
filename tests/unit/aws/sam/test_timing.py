"""How long functions may take."""

from __future__ import annotations

import pytest

from streamer_aws.sam import timing


def actions(small, *lines):
    return small + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("work: {handler: delay, timeout: 10m, mode: async}", 630),
        ("work: {handler: delay, timeout: 10s, mode: async}", 60),
        ("work: {handler: delay, timeout: 20m, mode: async}", 60),
        ("work: {handler: delay, mode: async}", 900),
        ("work: {handler: delay, timeout: 100s}", 130),
        ("work: {handler: delay, timeout: 20m, mode: sync}", 60),
    ],
)
def test_the_processor_has_the_time_of_the_longest_attempt_that_may_be_queued(exported, small, line, seconds):
    text = actions(small.replace("echo: {handler: echo}", "echo: {handler: echo, mode: sync}"), line)
    made = exported(text)
    assert made["Resources"]["ProcessorFunction"]["Properties"]["Timeout"] == seconds
    assert made["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] == 6 * seconds


def test_the_functions_of_the_socket_have_the_time_that_the_gateway_waits(exported):
    resources = exported()["Resources"]
    timeouts = {resources[f"{name}Function"]["Properties"]["Timeout"] for name in ("Connect", "Disconnect", "Default")}
    assert timeouts == {29}


def test_the_longest_visibility_is_one_that_the_queue_takes():
    assert timing.visibility(timing.LONGEST) <= 12 * 3600


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("work: {handler: echo, mode: sync, estimated_duration: 29s}", "actions.work is answered at once"),
        ("work: {handler: echo, timeout: 15m}", "actions.work: Lambda ends every function after 900s"),
    ],
)
def test_an_action_that_may_not_have_time_enough_is_told(read, small, line, told):
    settings, _ = read(actions(small, line))
    (note,) = timing.misfits(settings)
    assert note.startswith(told)


def test_a_threshold_beyond_what_the_gateway_waits_is_told(read, small):
    settings, _ = read(small.replace("name: small", "name: small, async_threshold: 30s"))
    (note,) = timing.misfits(settings)
    assert note.startswith("service.async_threshold is 30s")


def test_a_file_that_fits_has_no_misfits(read):
    assert list(timing.misfits(read()[0])) == []
