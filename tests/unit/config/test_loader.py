"""The whole way: defaults, types, what handlers bring, plugins, secrets, and everything wrong at once."""

import dataclasses
from pathlib import Path

import pytest

from streamer.config import Settings, load
from streamer.config.settings import (
    ActionSettings,
    BackendSettings,
    ComponentUse,
    LogSettings,
    PluginSettings,
    RetrySettings,
    ServerSettings,
    ServiceSettings,
    TlsSettings,
    WorkerSettings,
)
from streamer.contracts.components import Kind
from streamer.core.errors import ConfigError, PluginError


def test_the_smallest_file_has_every_default(settings_of, tmp_path):
    assert settings_of("version: 1\n") == Settings(
        path=tmp_path / "streamer.yaml",
        backends=BackendSettings(store=ComponentUse(name="sqlite", options={"path": "./streamer.db"})),
    )


def test_the_schemas_defaults_are_those_of_the_settings(settings_of):
    settings = settings_of("version: 1\nactions: {a: {handler: echo, retry: {}}}\n")
    assert settings.service == ServiceSettings()
    assert settings.server == ServerSettings()
    assert settings.worker == WorkerSettings()
    assert settings.logs == LogSettings()
    assert settings.plugins == PluginSettings()
    assert settings.actions["a"].retry == RetrySettings()


def test_everything_that_the_file_says_is_in_the_settings(settings_of, tmp_path):
    settings = settings_of("""\
version: 1
service: {name: shop, async_threshold: 1m30s, expose_errors: true, strict_messages: true, max_depth: 10}
server:
  {host: 0.0.0.0, port: 0, path: /x, max_message_size: 1MiB, max_connections: 5, max_running: 6, max_service_actions: 7,
   max_buffered: 2KB, allowed_origins: ["http://a", "http://b"],
   handshake_timeout: 1s, ping_interval: 2s, ping_timeout: 3s, idle_timeout: 4s,
   drain_timeout: 5s, tls: {cert: certs/c.pem, key: /k.pem}}
backends: {store: {use: sqlite, path: q.db}, connections: local}
worker:
  {concurrency: 1, lease: 2s, poll_interval: 3s, result_ttl: 4d, max_queued: 5, progress_interval: 6ms, processes: 7,
   threads: 8, direct_processes: 9, direct_threads: 10, max_queued_per_owner: 3, max_queued_per_address: 4}
auth: {use: acme.jwt}
middleware: [access_log, {use: limit, rate: 1/1s}, {use: limit}]
plugins: {allow: [acme-auth], block: [other]}
logs: {level: debug, format: json}
actions:
  a.b-c_1:
    handler: report
    with: {data: ./d}
    description: Text
    estimated_duration: 1s
    mode: sync
    timeout: 2s
    schema: true
    result_schema: {type: string}
    retry: {max_attempts: 1, initial: 2s, factor: 3, max: 4s, jitter: 0.5}
    concurrency: 5
    priority: -6
    max_wait: 7s
""")
    file = tmp_path / "streamer.yaml"
    assert settings == Settings(
        path=file,
        service=ServiceSettings(
            name="shop", async_threshold=90.0, expose_errors=True, strict_messages=True, max_depth=10
        ),
        server=ServerSettings(
            host="0.0.0.0",
            port=0,
            path="/x",
            max_message_size=2**20,
            max_connections=5,
            max_running=6,
            max_service_actions=7,
            max_buffered=2000,
            allowed_origins=("http://a", "http://b"),
            handshake_timeout=1.0,
            ping_interval=2.0,
            ping_timeout=3.0,
            idle_timeout=4.0,
            drain_timeout=5.0,
            tls=TlsSettings(cert=tmp_path / "certs/c.pem", key=Path("/k.pem")),
        ),
        backends=BackendSettings(store=ComponentUse(name="sqlite", options={"path": "q.db"})),
        worker=WorkerSettings(
            concurrency=1,
            lease=2.0,
            poll_interval=3.0,
            result_ttl=4 * 86400.0,
            max_queued=5,
            max_queued_per_owner=3,
            max_queued_per_address=4,
            progress_interval=0.006,
            processes=7,
            threads=8,
            direct_processes=9,
            direct_threads=10,
        ),
        auth=ComponentUse(name="acme.jwt"),
        middleware=(
            ComponentUse(name="access_log"),
            ComponentUse(name="limit", options={"rate": "1/1s"}),
            ComponentUse(name="limit", options={"rate": "100/1m"}),
        ),
        plugins=PluginSettings(allow=("acme-auth",), block=("other",)),
        logs=LogSettings(level="debug", format="json"),
        actions={
            "a.b-c_1": ActionSettings(
                name="a.b-c_1",
                handler="report",
                options={"data": "./d", "rows": 100, "fast": False, "every": "5s"},
                description="Text",
                estimated_duration=1.0,
                mode="sync",
                timeout=2.0,
                schema=True,
                schema_path=file,
                result_schema={"type": "string"},
                result_schema_path=file,
                retry=RetrySettings(max_attempts=1, initial=2.0, factor=3, max=4.0, jitter=0.5),
                concurrency=5,
                priority=-6,
                max_wait=7.0,
            )
        },
    )


def test_no_setting_is_left_out_of_that():
    """Whoever adds a field adds it to the schema and to the test above."""
    sections = (ServiceSettings, ServerSettings, WorkerSettings, LogSettings, PluginSettings, RetrySettings)
    from streamer.config.shape import file_schema

    shape = file_schema()["properties"]
    retry = shape["actions"]["additionalProperties"]["properties"]["retry"]
    parts = (shape["service"], shape["server"], shape["worker"], shape["logs"], shape["plugins"], retry)
    for section, part in zip(sections, parts, strict=True):
        assert {field.name for field in dataclasses.fields(section)} == set(part["properties"])


def test_what_a_handler_brings_fills_what_the_action_leaves_out(settings_of):
    action = settings_of("version: 1\nactions: {a: {handler: report, with: {data: d}}}\n").actions["a"]
    assert action.schema == {"type": "object", "required": ["year"]}
    assert action.schema_path is None
    assert action.result_schema == {"type": "object"}
    assert action.estimated_duration == 120.0
    echo = settings_of("version: 1\nactions: {a: {handler: echo}}\n").actions["a"]
    assert echo.description == "Send it back"
    assert echo.schema is None


def test_defaults_are_filled_in_inside_of_objects_and_never_shared(settings_of):
    text = "version: 1\nactions: {a: {handler: report, with: {data: d, page: {}}}}\n"
    first, second = settings_of(text).actions["a"].options, settings_of(text).actions["a"].options
    assert first["page"] == {"size": "a4"}
    assert first["page"] is not second["page"]


def test_a_whole_number_written_as_a_fraction_is_one(settings_of):
    port = settings_of("version: 1\nserver: {port: 9000.0}\n").server.port
    assert port == 9000
    assert type(port) is int


def test_relative_paths_are_relative_to_the_file_wherever_one_stands(tmp_path, discover, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.json").write_text("{}")
    (tmp_path / "conf/streamer.yaml").write_text("version: 1\nactions: {a: {handler: echo, schema: a.json}}\n")
    monkeypatch.chdir(tmp_path)
    settings = load(Path("conf/streamer.yaml"), discover=discover, environ={})
    assert settings.path == tmp_path / "conf/streamer.yaml"
    assert settings.base_dir == tmp_path / "conf"
    assert settings.actions["a"].schema_path == tmp_path / "conf/a.json"


def test_files_are_named_as_the_configuration_is_named(tmp_path, discover, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "b.json").write_text("5")
    (tmp_path / "conf/streamer.yaml").write_text("version: 1\nactions: {a: {handler: echo, schema: ../b.json}}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"\Ab\.json:1:1: bad-schema"):
        load(Path("conf/streamer.yaml"), discover=discover, environ={})


def test_the_environment_of_the_process_is_taken_unless_another_is_given(tmp_path, discover, monkeypatch):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 1\nservice: {name: '${STREAMER_TEST_NAME}'}\n")
    monkeypatch.setenv("STREAMER_TEST_NAME", "of the process")
    assert load(path, discover=discover).service.name == "of the process"


def test_the_plugins_section_is_known_before_plugins_load(tmp_path, discover):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 1\nplugins: {allow: [acme-auth], block: ['${BAD:-x}']}\n")
    asked = []

    def remember(plugins):
        asked.append(plugins)
        return discover(plugins)

    load(path, discover=remember, environ={})
    assert asked == [PluginSettings(allow=("acme-auth",), block=("x",))]


@pytest.mark.parametrize("section", ["5", "[a]", "{allow: x, block: 5}", "{allow: [5]}"])
def test_a_broken_plugins_section_lets_the_rest_be_checked(problems_of, section):
    lines = problems_of(f"version: 1\nplugins: {section}\nactions: {{a: {{handler: ecko}}}}\n")
    assert any("wrong-type: plugins" in line for line in lines)
    assert any("unknown-handler" in line for line in lines)


def test_a_plugin_that_cannot_load_hides_nothing_else(tmp_path):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 1\nmiddleware: [x]\nactions: {a: {handler: x, schema: {type: 5}, timeout: 5}}\n")

    def refuse(_plugins):
        raise PluginError("one is broken\nand another")

    with pytest.raises(ConfigError) as caught:
        load(path, discover=refuse, environ={})
    assert [(problem.line, problem.code) for problem in caught.value.problems] == [
        (1, "plugin-error"),
        (1, "plugin-error"),
        (3, "bad-schema"),
        (3, "bad-duration"),
    ]


def test_defaults_that_are_not_installed_are_told(tmp_path, components, discover):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 1\n")
    found = discover(None)
    found.components = {key: each for key, each in components.items() if key[0] in (Kind.HANDLER, Kind.AUTH)}
    with pytest.raises(ConfigError) as caught:
        load(path, discover=lambda _plugins: found, environ={})
    told = [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]
    assert [line.removesuffix(" (none are available)") for line in told] == [
        "streamer.yaml:1:1: unknown-backend: backends.connections: unknown connections backend 'local'",
        "streamer.yaml:1:1: unknown-backend: backends.store: unknown store 'sqlite'",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nbackends: 5\n",
        "version: 1\nbackends: {store: 5}\n",
        "version: 1\nbackends: {store: {use: 5}}\n",
        "version: 1\nmiddleware: {}\n",
        "version: 1\nmiddleware: [5, {use: []}]\n",
        "version: 1\nactions: []\n",
        "version: 1\nactions: {a: {handler: 5, with: 5, schema: 5, timeout: 5, estimated_duration: 5}}\n",
        "version: 1\nactions: {a: {handler: report, with: 5}}\n",
        "version: 1\nactions: {a: {handler: echo, estimated_duration: soon, timeout: never}}\n",
        "version: 1\nserver: {tls: {}}\n",
        "version: 1\nactions: {a: {handler: !x echo, with: !x {}, schema: !x {}}}\n",
        "- 1\n",
    ],
)
def test_a_wrong_shape_is_told_and_never_a_crash(problems_of, text):
    assert problems_of(text)


def test_names_of_distributions_are_compared_as_pip_does(settings_of):
    assert settings_of("version: 1\nplugins: {allow: [Acme_Auth, streamer.router]}\n").plugins.allow


SECRETS = """\
version: 1
auth: {use: acme.jwt, secret: '${JWT}'}
actions:
  a:
    handler: report
    with: {data: 'd-${OPEN}', token: 't-${TOKEN}', pin: '${PIN}', headers: {A: literal, B: '${SHORT}'}}
"""


def test_values_of_the_environment_in_secret_places_are_secrets(settings_of):
    settings = settings_of(SECRETS, JWT="jwt-value", OPEN="open", TOKEN="token-value", PIN="12345", SHORT="1")
    assert settings.secrets == {"jwt-value", "token-value", "12345"}
    assert settings.actions["a"].options["pin"] == 12345
    assert settings.secret_places == {
        ("auth", "secret"),
        ("actions", "a", "with", "token"),
        ("actions", "a", "with", "pin"),
        ("actions", "a", "with", "headers", "A"),
        ("actions", "a", "with", "headers", "B"),
    }


def test_no_problem_shows_what_the_environment_holds_but_its_name(problems_of):
    text = """\
version: 1
server: {port: '${X}'}
middleware: ['${X}', {use: '${X:-y}'}]
plugins: {allow: ['a-${X}-${Y}']}
actions: {a: {handler: '${X}', timeout: '${X}', schema: '${X}/a.json', priority: '${X}'}}
"""
    lines = problems_of(text, X="misplaced-secret", Y="other")
    assert "misplaced-secret" not in "\n".join(lines)
    assert lines[0] == "streamer.yaml:2:16: wrong-type: server.port: must be a whole number, not *** (filled from ${X})"
    assert len(lines) == 8
    assert all("${X}" in line for line in lines)


def test_no_problem_shows_a_secret(problems_of):
    text = SECRETS.replace("t-${TOKEN}", "${TOKEN}").replace("data: 'd-${OPEN}'", "rows: '${TOKEN}'")
    lines = "\n".join(problems_of(text, JWT="j", OPEN="o", TOKEN="token-value", PIN="not-a-number", SHORT="1"))
    assert "token-value" not in lines
    assert "not-a-number" not in lines
    assert "with.token" in lines
    assert "with.pin" in lines
