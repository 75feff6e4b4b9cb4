"""What commands take from the file without needing all of it to be right."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from streamer.cli.config_file import find_components, read, read_plugin_settings, url_of_service
from streamer.config.settings import PluginSettings
from streamer.contracts.components import Kind
from streamer.core.errors import ConfigError


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        path = tmp_path / "streamer.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("", "ws://127.0.0.1:8080/ws"),
        ("server: {port: 9000, path: /socket}", "ws://127.0.0.1:9000/socket"),
        ("server: {host: 0.0.0.0}", "ws://127.0.0.1:8080/ws"),
        ("server: {host: '::'}", "ws://[::1]:8080/ws"),
        ("server: {host: example.com, tls: {cert: '${NOT_SET}', key: b}}", "wss://example.com:8080/ws"),
        ("server:\n  port: ${STREAMER_NO_PORT:-9001}\nactions: 5", "ws://127.0.0.1:9001/ws"),
        ("server: 5", "ws://127.0.0.1:8080/ws"),
    ],
)
def test_the_address_is_that_of_the_section_server(file, server, url):
    assert url_of_service(file(f"version: 1\n{server}\n")) == url


def test_a_file_that_is_only_a_list_has_no_section_server(file):
    assert url_of_service(file("[1]")) == "ws://127.0.0.1:8080/ws"


def test_without_a_file_the_address_is_the_default_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert url_of_service(Path("streamer.yaml")) == "ws://127.0.0.1:8080/ws"


def test_a_file_that_was_named_must_be_there(tmp_path):
    for take in (url_of_service, read_plugin_settings):
        with pytest.raises(ConfigError, match="there is no such file"):
            take(tmp_path / "named.yaml")


def test_a_variable_of_the_address_that_is_not_set_is_told(file):
    with pytest.raises(ConfigError, match="STREAMER_NOT_SET is not set"):
        url_of_service(file("server:\n  host: ${STREAMER_NOT_SET}\n"))


@pytest.mark.parametrize("server", ["{port: many}", "{host: 5}", "{path: [a]}"])
def test_an_address_that_cannot_be_read_is_wrong_usage(file, server):
    with pytest.raises(click.UsageError, match="pass --url"):
        url_of_service(file(f"server: {server}\n"))


def test_a_port_that_the_system_chose_can_only_be_read_from_the_log(file):
    with pytest.raises(click.UsageError, match="a free port"):
        url_of_service(file("server: {port: 0}\n"))


def test_plugins_are_read_from_a_file_that_is_wrong_elsewhere(file):
    path = file("plugins: {block: [acme], allow: [demo]}\nactions: {x: {handlr: 5}}\n")
    assert read_plugin_settings(path) == PluginSettings(allow=("demo",), block=("acme",))


def test_without_a_file_every_plugin_may_load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_plugin_settings(Path("streamer.yaml")) == PluginSettings()


def test_a_file_that_is_not_yaml_is_told_with_its_place(file):
    with pytest.raises(ConfigError, match=r"streamer\.yaml:\d+:\d+: syntax"):
        read_plugin_settings(file("plugins: {block: ["))


def test_the_built_in_components_are_found():
    registry = find_components(PluginSettings(allow=()))
    assert registry.get(Kind.HANDLER, "echo") is not None
    assert registry.get(Kind.STORE, "sqlite") is not None


def test_settings_and_components_come_together(file):
    settings, registry = read(file("version: 1\nactions: {echo: {handler: echo}}\n"))
    assert registry.get(Kind.HANDLER, settings.actions["echo"].handler) is not None
