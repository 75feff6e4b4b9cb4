"""The environment's part in a file."""

from __future__ import annotations

import pytest

from streamer_aws.sam.errors import ExportError
from streamer_aws.sam.variables import definitions, substituted, variables


def found(raw, secret=()):
    return {variable.name: variable for variable in variables(raw, frozenset(secret))}


def test_a_variable_becomes_a_parameter_with_the_default_of_the_file():
    known = variables({"a": ["${NAME_OF_IT:-some}", {"b": "x${OTHER}"}], "c": 5}, frozenset())
    assert definitions(known) == {
        "EnvNameOfIt": {
            "Type": "String",
            "Description": "NAME_OF_IT of the service's file",
            "Default": "some",
            "MinLength": 1,
        },
        "EnvOther": {"Type": "String", "Description": "OTHER of the service's file", "MinLength": 1},
    }


def test_an_empty_default_lets_the_parameter_be_empty():
    known = variables({"a": "${MAYBE:-}"}, frozenset())
    assert definitions(known)["EnvMaybe"] == {
        "Type": "String",
        "Description": "MAYBE of the service's file",
        "Default": "",
    }


def test_a_secret_has_no_default_even_where_the_file_has_one():
    raw = {"auth": {"secret": "${KEY:-for-development}"}, "other": "${KEY:-for-development}"}
    key = found(raw, {("auth", "secret")})["KEY"]
    assert (key.secret, key.default) == (True, None)


def test_defaults_that_differ_are_none():
    assert found({"a": "${NAME:-one}", "b": "${NAME:-two}"})["NAME"].default is None


def test_an_escaped_reference_is_none():
    assert found({"a": "$${NAME}"}) == {}


def test_what_lambda_or_the_template_sets_needs_no_parameter():
    assert found({"a": "${AWS_REGION}", "b": "${STREAMER_QUEUE_URL:-}"}) == {}


@pytest.mark.parametrize("name", ["_HIDDEN", "X"])
def test_a_name_that_lambda_refuses_is_refused_here(name):
    with pytest.raises(ExportError, match="Lambda requires names"):
        found({"a": f"${{{name}}}"})


def test_names_that_come_to_the_same_are_kept_apart():
    known = found({"a": "${NAME_ONE}", "b": "${NAME__ONE}", "c": "${name_one}"})
    assert {each.parameter for each in known.values()} == {"EnvNameOne", "EnvNameOne2", "EnvNameOne3"}


def test_a_text_without_variables_stays_a_text():
    assert substituted("streamer-requests", (), "here") == "streamer-requests"


def test_a_text_with_variables_is_put_together_by_the_template():
    known = variables({"a": "${STAGE:-dev}"}, frozenset())
    assert substituted("x-${STAGE:-dev}-$${y}", known, "here") == {"Fn::Sub": "x-${EnvStage}-${!y}"}


def test_nothing_is_named_by_what_only_a_running_function_knows():
    with pytest.raises(ExportError, match=r"backends.store.prefix: \$\{AWS_REGION\}"):
        substituted("${AWS_REGION}-requests", (), "backends.store.prefix")
