"""The template as AWS's own tools and a careful reader see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from streamer_aws.dynamodb.definitions import TTL_ATTRIBUTE, differences
from streamer_aws.sam.errors import ExportError
from streamer_aws.sam.template import Choices, render, template
from streamer_aws.store.table import definition

ROOT = Path(__file__).parents[4]
WAKES = ("sqs", "streams")
FUNCTIONS = ("ConnectFunction", "DisconnectFunction", "DefaultFunction", "ProcessorFunction", "SweepFunction")
RICH = """
version: 1
service: {name: rich}
backends:
  store: {use: dynamodb, prefix: "${STAGE:-dev}-", bucket: "large-${STAGE:-dev}"}
  connections: {use: apigateway}
auth: {use: jwt, secret: "${JWT_SECRET}", issuer: "${ISSUER}"}
actions:
  echo: {handler: echo, timeout: 20s}
"""


@pytest.fixture
def own(tmp_path):
    """The project's own file with the backends of AWS, and what it names."""
    text = (ROOT / "streamer.yaml").read_text()
    before, _, rest = text.partition("backends:\n")
    after = rest[rest.index("\n# The worker, which runs queued requests.") :]
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    shutil.copytree(ROOT / "plugins" / "examples", tmp_path / "plugins" / "examples")
    backends = "backends:\n  store: {use: dynamodb}\n  connections: {use: apigateway}\n"
    return f"{before}{backends}{after}\nauth: {{use: none, allow_anyone: true}}\n"


def of_type(made, kind):
    return {name: one["Properties"] for name, one in made["Resources"].items() if one["Type"] == kind}


def test_cfn_lint_has_nothing_to_say(exported, lint, transformed, own):
    secrets = {"JWT_SECRET": "s" * 40, "ISSUER": "https://id.example.com"}
    rich = {wake: exported(RICH, choices=Choices(wake=wake), **secrets) for wake in WAKES}
    # What AWS makes of it is looked at, too: there the routes, permissions and mappings are spelled out.
    plain = {wake: transformed(made) for wake, made in rich.items()}
    assert lint(*rich.values(), *plain.values(), exported(own)) == ""
    for wake, made in plain.items():
        assert len(of_type(made, "AWS::ApiGatewayV2::Route")) == 3
        assert [stage["AutoDeploy"] for stage in of_type(made, "AWS::ApiGatewayV2::Stage").values()] == [True]
        assert len(of_type(made, "AWS::Lambda::EventSourceMapping")) == {"sqs": 1, "streams": 2}[wake]
        # No role beside ours: a role that the transform adds would hold more than is needed.
        assert len(of_type(made, "AWS::IAM::Role")) == 5


def test_the_routes_lead_to_their_functions(exported):
    api = exported()["Resources"]["Api"]["Properties"]
    assert {route: one["FunctionArn"]["Fn::GetAtt"][0] for route, one in api["Routes"].items()} == {
        "$connect": "ConnectFunction",
        "$disconnect": "DisconnectFunction",
        "$default": "DefaultFunction",
    }
    assert {one["IntegrationTimeout"] for one in api["Routes"].values()} == {29000}


def test_every_function_runs_its_entry_point_with_a_role_and_a_log_of_its_own(exported):
    functions = of_type(exported(), "AWS::Serverless::Function")
    assert tuple(functions) == FUNCTIONS
    for name, one in functions.items():
        assert one["Handler"] == f"streamer_aws.{name.removesuffix('Function').lower()}"
        assert one["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        assert one["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}


def test_logs_are_kept_for_as_long_as_the_parameter_says(exported):
    made = exported()
    groups = of_type(made, "AWS::Logs::LogGroup")
    assert set(groups) == {f"{name}Logs" for name in FUNCTIONS}
    assert all(group["RetentionInDays"] == {"Ref": "LogRetention"} for group in groups.values())
    assert made["Parameters"]["LogRetention"]["Default"] == 30


def test_the_runtime_and_the_folder_are_those_that_were_chosen(exported):
    function = exported(choices=Choices(code="build/package", python="3.12"))["Globals"]["Function"]
    assert (function["Runtime"], function["CodeUri"]) == ("python3.12", "build/package")
    assert function["Architectures"] == ["x86_64"]


def test_the_functions_find_their_file_their_queue_and_the_way_to_connections(exported):
    variables = exported()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables == {
        "STREAMER_CONFIG": "service/streamer.yaml",
        "STREAMER_QUEUE_URL": {"Ref": "Queue"},
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": {
            "Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"
        },
    }
    streams = exported(choices=Choices(wake="streams"))["Globals"]["Function"]["Environment"]["Variables"]
    assert "STREAMER_QUEUE_URL" not in streams


def test_what_clients_may_take_of_the_account_is_bounded_by_parameters(exported):
    made = exported()
    settings = made["Resources"]["Api"]["Properties"]["DefaultRouteSettings"]
    assert settings == {
        "ThrottlingRateLimit": {"Ref": "MessagesPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "MessageBurst"},
    }
    reserved = made["Resources"]["DefaultFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved["Fn::If"][1] == {"Ref": "MessageConcurrency"}
    assert made["Parameters"]["MessageConcurrency"]["Default"] == 0


def test_the_address_for_clients_is_an_output(exported):
    url = exported()["Outputs"]["Url"]["Value"]
    assert url == {"Fn::Sub": "wss://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"}


def test_the_requests_table_is_as_the_store_needs_it(exported):
    table = exported()["Resources"]["RequestsTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = table["Properties"]
    assert properties["TableName"] == "streamer-requests"
    # CloudFormation has no StreamEnabled: a view type says that there is a stream.
    described = {
        **properties,
        "TableStatus": "ACTIVE",
        "StreamSpecification": {**properties["StreamSpecification"], "StreamEnabled": True},
    }
    ttl = {"TimeToLiveStatus": "ENABLED", "AttributeName": properties["TimeToLiveSpecification"]["AttributeName"]}
    assert differences(described, ttl, definition("streamer-requests")) == []
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert ttl["AttributeName"] == TTL_ATTRIBUTE
    assert properties["AttributeDefinitions"] == definition("")["AttributeDefinitions"]


def test_every_table_is_billed_by_request_forgets_and_can_be_restored(exported):
    tables = of_type(exported(), "AWS::DynamoDB::Table")
    assert [table["TableName"] for table in tables.values()] == [
        "streamer-requests",
        "streamer-connections",
        "streamer-subscriptions",
    ]
    for table in tables.values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["TimeToLiveSpecification"]["Enabled"] is True
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_a_sweep_runs_every_minute(exported):
    sweep = exported()["Resources"]["SweepFunction"]["Properties"]
    assert sweep["Events"]["EveryMinute"] == {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}}
    assert sweep["Timeout"] == 60


@pytest.mark.service
@pytest.mark.parametrize("wake", WAKES)
def test_no_text_of_the_template_is_an_anchor_and_the_same_file_gives_the_same_bytes(read, wake, tmp_path):
    choices = Choices(wake=wake)
    one = render(template(*read(RICH, JWT_SECRET="s" * 40, ISSUER="https://one.example.com"), choices))
    # Another environment, and another process with other hash seeds.
    other = render(template(*read(RICH, JWT_SECRET="t" * 40, ISSUER="https://two.example.com", STAGE="prod"), choices))
    assert one == other
    assert "&id" not in one
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from conftest import *; from pathlib import Path\n"
        "path = Path(sys.argv[2])\n"
        "s = load(path, discover=with_builtins, environ={'JWT_SECRET': 'u' * 40, 'ISSUER': 'https://x.example'},"
        " compile_schema=Validator)\n"
        "sys.stdout.write(render(template(s, read_document(path).data, Choices(wake=sys.argv[3]))))\n"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "streamer.yaml"), wake],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert again.stdout == one


def test_no_secret_is_in_the_template(exported):
    secret = "a-secret-that-nobody-may-read-anywhere"
    made = exported(RICH, JWT_SECRET=secret, ISSUER="https://id.example.com")
    assert secret not in json.dumps(made)
    assert made["Parameters"]["EnvJwtSecret"] == {
        "Type": "String",
        "Description": "JWT_SECRET of the service's file",
        "NoEcho": True,
        "MinLength": 1,
    }
    variables = made["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["JWT_SECRET"] == {"Ref": "EnvJwtSecret"}


def test_names_that_the_environment_decides_are_decided_by_the_parameter(exported):
    made = exported(RICH, JWT_SECRET="s" * 40, ISSUER="https://id.example.com", STAGE="elsewhere")
    tables = of_type(made, "AWS::DynamoDB::Table")
    assert tables["RequestsTable"]["TableName"] == {"Fn::Sub": "${EnvStage}-requests"}
    assert made["Resources"]["Queue"]["Properties"]["QueueName"] == {"Fn::Sub": "${EnvStage}-requests"}
    assert made["Parameters"]["EnvStage"]["Default"] == "dev"
    assert "elsewhere" not in json.dumps(made)


def test_a_store_that_is_only_named_has_the_prefix_that_it_has_by_itself(exported, small):
    made = exported(small.replace("store: {use: dynamodb}", "store: dynamodb"))
    assert made["Resources"]["RequestsTable"]["Properties"]["TableName"] == "streamer-requests"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("use: dynamodb", "use: memory"), "backends.store is 'memory', but AWS requires 'dynamodb'"),
        (("use: apigateway", "use: local"), "backends.connections is 'local', but AWS requires 'apigateway'"),
        (("use: dynamodb", 'use: dynamodb, endpoint_url: "http://127.0.0.1:1"'), "backends.store.endpoint_url"),
    ],
)
def test_a_file_for_elsewhere_is_refused_with_the_way_out(exported, small, wrong, told):
    with pytest.raises(ExportError) as refused:
        exported(small.replace(*wrong))
    assert told in str(refused.value)


def test_the_template_is_yaml_that_any_reader_reads_alike(read):
    made = template(*read(), Choices())
    assert yaml.safe_load(render(made)) == made
