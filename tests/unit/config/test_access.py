"""Nobody is let in by leaving something out."""

import pytest

from streamer.config import dump

ANYONE = "auth: {use: none, allow_anyone: true}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "server: {host: 127.0.0.1}\n",
        "server: {host: 127.8.9.10}\n",
        "server: {host: '::1'}\n",
        "server: {host: localhost}\n",
        "server: {host: 0.0.0.0}\n" + ANYONE,
        "server: {host: 0.0.0.0}\nauth: {use: acme.jwt}\n",
        "auth: acme.jwt\nactions: {a: {handler: echo, permissions: [p]}}\n",
        "actions: {a: {handler: echo, permissions: []}}\n",
    ],
)
def test_what_is_meant_is_not_told(settings_of, text):
    settings_of(f"version: 1\n{text}")


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "192.168.1.7", "example.com", "127.0.0.1.example.com"])
@pytest.mark.parametrize(
    "auth", ["", "auth: none\n", "auth: {use: none}\n", "auth: {use: none, allow_anyone: false}\n"]
)
def test_an_address_for_others_needs_authentication_or_a_word(problems_of, host, auth):
    (problem,) = problems_of(f"version: 1\nserver: {{host: {host}}}\n{auth}")
    assert problem.startswith("streamer.yaml:2:16: open-to-anyone: server.host: other machines can reach ")
    assert problem.endswith("with auth: {use: none, allow_anyone: true}")


def test_a_host_from_the_environment_is_named_by_its_variable(problems_of):
    (problem,) = problems_of("version: 1\nserver: {host: '${HOST}'}\n", HOST="10.0.0.1")
    assert "can reach *** (filled from ${HOST})" in problem


def test_what_is_told_already_is_not_told_again(problems_of):
    for text in (
        "server: {host: '${HOST}'}",
        "server: {host: 7}",
        "server: 7",
        "server: {host: 0.0.0.0}\nauth: '${A}'",
    ):
        (problem,) = problems_of(f"version: 1\n{text}\n")
        assert "open-to-anyone" not in problem


def test_permissions_that_nobody_can_hold_are_told_at_each_action(problems_of):
    problems = problems_of(
        "version: 1\nactions:\n  a: {handler: echo, permissions: [p]}\n  b: {handler: echo}\n"
        "  c: {handler: echo, permissions: [p, q]}\n"
    )
    assert [problem.split(": ")[1:3] for problem in problems] == [
        ["permissions-without-auth", "actions.a.permissions"],
        ["permissions-without-auth", "actions.c.permissions"],
    ]


def test_a_components_own_check_runs_only_on_options_of_the_right_shape(problems_of):
    (problem,) = problems_of("version: 1\nauth: {use: acme.jwt, secret: 7, keys: [absent]}\n")
    assert "wrong-type" in problem
    (problem,) = problems_of("version: 1\nauth: {use: acme.jwt, secret: '${UNSET}', keys: [absent]}\n")
    assert "missing-variable" in problem


def test_a_components_own_check_tells_no_secret(problems_of):
    (problem,) = problems_of("version: 1\nauth: {use: acme.jwt, secret: '${S}'}\n", S="guess me")
    assert problem.endswith("auth.secret: it is known to everybody (filled from ${S})")


def test_a_components_own_check_reads_beside_the_file(settings_of):
    settings_of("version: 1\nauth: {use: acme.jwt, keys: [a.pem]}\n", files={"a.pem": ""})


def test_a_check_that_breaks_is_the_plugins_fault_and_hides_nothing_else(problems_of):
    problems = problems_of("version: 1\nauth: {use: acme.jwt, secret: break it}\nactions: {a: {handler: ecko}}\n")
    assert [problem.split(": ", 2)[1] for problem in problems] == ["plugin-error", "unknown-handler"]
    assert (
        "the check of 'acme.jwt' failed: LookupError: a mistake in the plugin; this is a bug in the plugin"
        in problems[0]
    )


APIGATEWAY = "backends: {store: {use: dynamodb}, connections: CONNECTIONS}\n"


@pytest.mark.parametrize("connections", ["apigateway", "{use: apigateway}"])
def test_connections_that_others_hold_need_authentication_or_a_word_whatever_the_host(problems_of, connections):
    # Neither is among the components that these tests know, which is told as well.
    text = f"version: 1\n{APIGATEWAY.replace('CONNECTIONS', connections)}"
    (problem,) = (one for one in problems_of(text) if "open-to-anyone" in one)
    assert "open-to-anyone: backends.connections: everybody can reach the connections 'apigateway'" in problem
    assert problem.endswith("with auth: {use: none, allow_anyone: true}")
    assert not any("open-to-anyone" in one for one in problems_of(text + ANYONE))


@pytest.mark.parametrize(
    "admin",
    ["{}", "{enabled: true}", "{host: 0.0.0.0}", "{enabled: true, host: '::1'}",
     "{enabled: true, host: 0.0.0.0, token: '${TOKEN}'}", "{enabled: true, host: 0.0.0.0, token_file: ./token}"],
)  # fmt: skip
def test_an_admin_port_that_is_off_local_or_has_a_token_is_fine(settings_of, admin):
    settings = settings_of(f"version: 1\nadmin: {admin}\n", TOKEN="t" * 32)
    assert settings.admin.token in (None, "t" * 32)
    assert settings.admin.token_file in (None, settings.base_dir / "token")


def test_an_admin_port_for_others_needs_a_token(problems_of):
    (problem,) = problems_of("version: 1\nadmin: {enabled: true, host: 10.0.0.1}\n")
    assert problem.startswith(
        "streamer.yaml:2:30: admin-without-token: admin.host: other machines can reach '10.0.0.1'"
    )
    assert "STREAMER_ADMIN_TOKEN=$(openssl rand -hex 32)" in problem


def test_an_admin_port_has_one_token_and_a_long_one_that_no_message_shows(problems_of):
    (problem,) = problems_of(f"version: 1\nadmin: {{enabled: true, token: {'t' * 32}, token_file: a}}\n")
    assert "bad-value: admin.token_file: there is a token already" in problem
    for problem in (
        *problems_of("version: 1\nadmin: {enabled: true, token: hunter2}\n"),
        *problems_of("version: 1\nadmin: {enabled: true, token: '${TOKEN}'}\n", TOKEN="hunter2"),
    ):
        assert "admin.token" in problem
        assert "hunter2" not in problem
        assert "32" in problem


def test_the_host_of_the_admin_port_is_checked_as_the_servers(problems_of):
    (problem,) = problems_of("version: 1\nadmin: {host: '127.0.0.1:9'}\n")
    assert "bad-value: admin.host: '127.0.0.1:9' is not an address" in problem


def test_the_token_of_the_admin_port_is_hidden(settings_of):
    for written in ("'${TOKEN}'", "t" * 32):
        settings = settings_of(f"version: 1\nadmin: {{enabled: true, token: {written}}}\n", TOKEN="t" * 32)
        assert "t" * 32 not in dump(settings)
        assert "  token: '***'\n" in dump(settings)
