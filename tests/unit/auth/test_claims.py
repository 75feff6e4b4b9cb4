"""Claims to principals. The acceptance tests attack them over the wire; here are the options and the edges."""

import json

import pytest

from streamer.auth.claims import MAX_DEPTH, Rules
from streamer.core.errors import FORBIDDEN, UNAUTHORIZED, Error
from streamer.core.principal import Principal

NOW = 1_000_000.0


def principal(rules=None, now=NOW, **claims):
    made = {"sub": "alice", "exp": NOW + 60, **claims}
    return (rules or Rules()).principal(json.dumps(made).encode(), now)


def refusal(*arguments, **claims):
    with pytest.raises(Error) as caught:
        principal(*arguments, **claims)
    return caught.value.code, caught.value.message


def test_a_principal_is_what_the_claims_say():
    assert principal(
        Rules(passed_on=("email", "absent")), tenant_id="acme", permissions=["b", "a", "a"], email="a@b", other=1
    ) == Principal(
        user_id="alice",
        tenant_id="acme",
        permissions=frozenset("ab"),
        expires_at=NOW + 60,
        claims={"email": "a@b"},
    )


def test_names_of_claims_can_be_chosen():
    rules = Rules(user_claim="email", tenant_claim="org", permissions_claim="https://example.com/roles")
    made = principal(rules, **{"email": "a@b", "org": "acme", "https://example.com/roles": ["admin"], "tenant_id": "x"})
    assert (made.user_id, made.tenant_id, made.permissions) == ("a@b", "acme", frozenset({"admin"}))


@pytest.mark.parametrize("name", ["scope", "scp"])
@pytest.mark.parametrize("value", ["read write", " read  write ", ["read", "write"]])
def test_scopes_may_be_one_text(name, value):
    assert principal(Rules(permissions_claim=name), **{name: value}).permissions == {"read", "write"}


def test_without_permissions_there_are_none():
    assert principal().permissions == frozenset()
    assert principal(permissions=[]).permissions == frozenset()


@pytest.mark.parametrize(
    ("now", "accepted"), [(NOW + 59, True), (NOW + 60, True), (NOW + 69.9, True), (NOW + 70, False), (NOW + 99, False)]
)
def test_a_token_counts_until_its_time_and_the_leeway_are_over(now, accepted):
    rules = Rules(leeway=10)
    if accepted:
        assert principal(rules, now).expires_at == NOW + 60
    else:
        assert refusal(rules, now) == (UNAUTHORIZED, "The token has expired")


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_counts_from_its_time_less_the_leeway_on(claim):
    assert principal(Rules(leeway=10), **{claim: NOW + 10}).user_id == "alice"
    assert refusal(Rules(leeway=10), **{claim: NOW + 10.1}) == (UNAUTHORIZED, "The token is not yet valid")


def test_required_claims_must_be_there():
    assert refusal(Rules(required=("exp", "jti"))) == (UNAUTHORIZED, "The token lacks the claim 'jti'")
    assert refusal(Rules(required=("jti",)), jti=None)[1] == "The token lacks the claim 'jti'"
    assert principal(Rules(required=("exp", "jti")), jti="1").user_id == "alice"


def test_a_token_without_an_end_is_taken_only_where_the_file_asks_for_none():
    assert refusal(exp=None)[1] == "The token lacks the claim 'exp'"
    assert principal(Rules(required=()), exp=None).expires_at is None


@pytest.mark.parametrize("value", [-1, 253_402_300_800, True, "1", [], 1e308, 10**400])
def test_what_is_no_time_is_refused(value):
    assert "not a time" in refusal(exp=value)[1]


def test_a_token_for_an_audience_is_refused_where_the_file_names_none():
    assert refusal(aud="somebody")[1] == "The token is for another audience"
    assert principal(Rules(audiences=frozenset({"us"})), aud="us").user_id == "alice"


@pytest.mark.parametrize(("issuers", "issuer"), [({"a", "b"}, "b"), (set(), "whoever"), (set(), 7)])
def test_an_issuer_counts_where_the_file_names_one(issuers, issuer):
    assert principal(Rules(issuers=frozenset(issuers)), iss=issuer).user_id == "alice"


def test_a_tenant_that_is_not_listed_is_somebody_who_is_not_let_in():
    rules = Rules(tenants=frozenset({"acme"}))
    assert principal(rules, tenant_id="acme").tenant_id == "acme"
    assert refusal(rules, tenant_id="evil")[0] == FORBIDDEN
    assert refusal(rules)[0] == FORBIDDEN


@pytest.mark.parametrize("value", ["a" * 257, "a\x00b", "a\x1b[31m", "\u202eevil", ""])
def test_names_are_printable_and_short(value):
    assert refusal(sub=value)[0] == UNAUTHORIZED
    assert refusal(tenant_id=value)[0] == UNAUTHORIZED


def test_half_of_a_surrogate_pair_is_no_name():
    with pytest.raises(Error):
        Rules().principal(b'{"sub":"\\ud800","exp":2000000}', NOW)


def nested(depth):
    value = "end"
    for level in range(depth):
        value = {"x": value} if level % 2 else [value]
    return value


def test_claims_are_nested_only_so_deep():
    rules = Rules(passed_on=("x",))
    deepest = nested(MAX_DEPTH - 1)
    assert principal(rules, x=deepest).claims == {"x": deepest}
    assert "cannot be parsed" in refusal(rules, x=nested(MAX_DEPTH))[1]


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 8000])
def test_what_is_no_object_is_refused(payload):
    with pytest.raises(Error, match="cannot be parsed"):
        Rules().principal(payload, NOW)
