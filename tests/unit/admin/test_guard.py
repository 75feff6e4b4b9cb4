"""Who may do what on the admin port."""

from http import HTTPStatus

import pytest

from streamer.admin.guard import Asked, Guard

TOKEN = "0123456789abcdef0123456789abcdef"


def asked(path="/metrics", method="GET", host="127.0.0.1:8081", **more):
    return Asked(method=method, path=path, host=host, **more)


def status(guard, request):
    refused = guard.refusal(request)
    return None if refused is None else refused.status


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8081", "127.0.0.1", "[::1]:8081", "[::1]", "localhost:8081", "LOCALHOST", "localhost.:80",
     "10.1.2.3:8081", "streamer.internal:8081", "Streamer.Internal"],
)  # fmt: skip
def test_addresses_and_listed_names_are_hosts(host):
    assert status(Guard(None, ["streamer.internal"]), asked(host=host)) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "1.2.3", ":80"],
)
def test_a_page_whose_name_was_bound_to_this_address_reads_nothing(host):
    for path in ("/metrics", "/livez", "/admin/v1/config"):
        assert status(Guard(None, ["streamer.internal"]), asked(path, host=host)) is HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("path", ["/metrics", "/admin/v1/config", "/", "/livez/", "/nothing"])
@pytest.mark.parametrize(
    "authorization", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer é"]
)
def test_everything_but_probes_needs_the_token(path, authorization):
    guard = Guard(TOKEN, [])
    assert status(guard, asked(path, authorization=authorization)) is HTTPStatus.UNAUTHORIZED
    assert status(guard, asked(path, authorization=f"bearer {TOKEN}")) is None


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/ping"])
def test_probes_need_no_token(path):
    assert status(Guard(TOKEN, []), asked(path)) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("site", ["", "none", "cross-site", "same-site"])
def test_a_change_from_another_page_is_refused(method, site):
    guard = Guard(None, [])
    assert status(guard, asked(method=method, fetch_site=site)) is HTTPStatus.FORBIDDEN
    assert status(guard, asked(method=method, fetch_site="same-origin")) is None
    assert status(guard, asked(method=method, fetch_site=site, authorization="Bearer any")) is None


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_a_form_could_send_is_refused(kind):
    guard = Guard(None, [])
    request = asked(method="POST", authorization="x", has_body=True, content_type=kind)
    assert status(guard, request) is HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    json = asked(method="POST", authorization="x", has_body=True, content_type="application/json; charset=utf-8")
    assert status(guard, json) is None
