"""What a person should know before a deployment."""

from __future__ import annotations

from streamer_aws.sam.notes import left_out, notes


def without_auth(text):
    return text.replace("auth: {use: none, allow_anyone: true}\n", "")


def test_an_open_door_is_told(read):
    assert list(notes(*read())) == ["auth: clients are not authenticated, so everybody who knows the URL may connect"]


def test_the_region_of_the_store_is_told(read, small):
    told = list(notes(*read(small.replace("use: dynamodb", "use: dynamodb, region: eu-central-1"))))
    assert any("deploy there" in note and "eu-central-1" in note for note in told)


def test_a_secret_that_stands_in_the_file_is_told_without_being_shown(read, small):
    secret = "this-is-written-down-for-everybody-to-see"
    text = (
        without_auth(small)
        + f"auth: {{use: jwt, secret: {secret}, issuer: 'https://id.example.com', audience: small}}\n"
    )
    (note,) = notes(*read(text))
    assert note.startswith("auth.secret: the file and the package contain the secret itself")
    assert secret not in note


def test_a_secret_from_the_environment_is_as_it_should_be(read, small):
    text = (
        without_auth(small) + "auth: {use: jwt, secret: '${KEY}', issuer: 'https://id.example.com', audience: small}\n"
    )
    assert list(notes(*read(text, KEY="k" * 40))) == []


def test_misfits_are_among_the_notes(read, small):
    told = list(notes(*read(small + "  work: {handler: delay, timeout: 15m}\n")))
    assert any(note.startswith("actions.work: Lambda ends") for note in told)


def test_a_file_that_the_configuration_names_and_the_package_lacks_is_told(read, small, tmp_path):
    (tmp_path / "tools").mkdir()
    program = tmp_path / "tools" / "count"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    settings, raw = read(small + "  count: {handler: command, with: {argv: [./tools/count, /etc/hostname]}}\n")
    (note,) = left_out(settings, raw, [])
    assert note.startswith("actions.count.with.argv[0]: './tools/count' is not in the package")
    assert "--include ./tools/count" in note
    assert list(left_out(settings, raw, [program.resolve()])) == []
