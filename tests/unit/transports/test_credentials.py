"""Where a handshake's token stands, and how its refusals look as HTTP."""

import pytest

from streamer.core.errors import FORBIDDEN, INTERNAL_ERROR, OVERLOADED, UNAUTHORIZED, Error
from streamer.transports.credentials import AMBIGUOUS, NO_TOKEN, offered_subprotocols, refusal, token_of


@pytest.mark.parametrize(
    ("headers", "offered"),
    [
        ([], []),
        (["bearer, abc"], ["bearer", "abc"]),
        (["bearer", "abc "], ["bearer", "abc"]),
        ([" a,b , c"], ["a", "b", "c"]),
    ],
)
def test_subprotocols_may_stand_in_one_header_or_in_many(headers, offered):
    assert list(offered_subprotocols(headers)) == offered


@pytest.mark.parametrize(
    ("authorization", "subprotocols", "query", "found"),
    [
        ([], [], "", None),
        (["Bearer a"], ["bearer", "b"], "token=c", "a"),
        (["bEARER  a "], [], "", "a"),
        (["Bearer"], [], "", ""),
        (["Basic x"], ["bearer", "b"], "token=c", "b"),
        (["Basic x", "Bearer a"], [], "", "a"),
        (["Bearer a", "Bearer a"], [], "", AMBIGUOUS),
        ([], ["bearer", "b", "c"], "", AMBIGUOUS),
        ([], ["chat", "bearer", "b"], "", "b"),
        ([], ["bearer"], "token=c", "c"),
        ([], ["Bearer", "b"], "", None),
        ([], [], "token=c&Authorization=d", "d"),
        ([], [], "Authorization=Bearer+d", "d"),
        ([], [], "authorization=d", None),
        ([], [], "token=c&token=d", AMBIGUOUS),
        ([], [], "token=", None),
        ([], [], "client_id=x", None),
    ],
)
def test_the_first_place_with_a_token_counts(authorization, subprotocols, query, found):
    assert token_of(authorization, subprotocols, query) == found


@pytest.mark.parametrize(
    ("code", "status", "header"),
    [
        (UNAUTHORIZED, 401, ("WWW-Authenticate", 'Bearer error="invalid_token"')),
        (INTERNAL_ERROR, 401, ("WWW-Authenticate", 'Bearer error="invalid_token"')),
        (FORBIDDEN, 403, None),
        (OVERLOADED, 503, ("Retry-After", "1")),
    ],
)
def test_refusals_are_told_as_http_does(code, status, header):
    answer = refusal(Error(code, "why not"))
    assert (answer.status, answer.body) == (status, "why not\n")
    assert answer.headers == (() if header is None else (header,))


def test_who_brings_no_token_hears_where_it_goes():
    assert NO_TOKEN.status == 401
    assert NO_TOKEN.headers == (("WWW-Authenticate", "Bearer"),)
    assert all(place in NO_TOKEN.body for place in ("Authorization: Bearer", "subprotocols", "?token="))
