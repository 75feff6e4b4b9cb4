"""What each role may do: that, and nothing beside it."""

from __future__ import annotations

import pytest

from streamer_aws.sam.template import Choices

FUNCTIONS = ("Connect", "Disconnect", "Default", "Processor", "Sweep")
POST = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/*/@connections/*"


def statements(made, name):
    (policy,) = made["Resources"][f"{name}FunctionRole"]["Properties"]["Policies"]
    return policy["PolicyDocument"]["Statement"]


def held(made, name):
    """The services' actions that a role may use, by resource."""
    found = {}
    for statement in statements(made, name):
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            if isinstance(resource, str):
                key = resource
            else:
                ((function, value),) = resource.items()
                key = ".".join(value) if function == "Fn::GetAtt" else value
            found.setdefault(key, set()).update(statement["Action"])
    return found


def dynamodb(*names):
    return {f"dynamodb:{name}" for name in names}


LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
QUERY = dynamodb("Query")
POSTS = {POST: {"execute-api:ManageConnections"}}
SEND = {"Queue.Arn": {"sqs:SendMessage"}}
REQUESTS = "RequestsTable.Arn"
REQUESTS_INDEXES = "${RequestsTable.Arn}/index/*"
FOLLOWERS = {
    "SubscriptionsTable.Arn": dynamodb("Query", "PutItem", "UpdateItem", "DeleteItem"),
    "${SubscriptionsTable.Arn}/index/*": QUERY,
}
FORGET = {"ConnectionsTable.Arn": dynamodb("DeleteItem")}
RUN = {
    REQUESTS: dynamodb("GetItem", "PutItem", "UpdateItem"),
    "ConnectionsTable.Arn": dynamodb("UpdateItem", "DeleteItem"),
    **FOLLOWERS,
    **POSTS,
}
RECEIVE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("Connect", {"ConnectionsTable.Arn": dynamodb("GetItem", "PutItem")}),
        (
            "Disconnect",
            {
                **FORGET,
                "SubscriptionsTable.Arn": dynamodb("Query", "PutItem", "DeleteItem"),
                "${SubscriptionsTable.Arn}/index/*": QUERY,
                **SEND,
            },
        ),
        (
            "Default",
            {
                REQUESTS: dynamodb("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"),
                REQUESTS_INDEXES: QUERY,
                "ConnectionsTable.Arn": dynamodb("GetItem", "UpdateItem", "DeleteItem"),
                **FOLLOWERS,
                **POSTS,
                **SEND,
            },
        ),
        ("Processor", {**RUN, "Queue.Arn": RECEIVE | {"sqs:SendMessage"}}),
        (
            "Sweep",
            {
                **RUN,
                REQUESTS: dynamodb("GetItem", "Query", "PutItem", "UpdateItem"),
                REQUESTS_INDEXES: QUERY,
                "SubscriptionsTable.Arn": dynamodb("BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"),
                "Queue.Arn": {"sqs:SendMessage", "sqs:GetQueueAttributes"},
            },
        ),
    ],
)
def test_a_role_holds_what_its_function_needs_and_nothing_else(exported, name, needs):
    assert held(exported(), name) == {f"{name}FunctionLogs.Arn": LOGS, **needs}


def test_the_processor_of_a_stream_reads_it_and_tells_what_it_gave_up(exported):
    made = exported(choices=Choices(wake="streams"))
    assert held(made, "Processor") == {
        "ProcessorFunctionLogs.Arn": LOGS,
        **RUN,
        "RequestsTable.StreamArn": dynamodb("DescribeStream", "GetRecords", "GetShardIterator"),
        "*": dynamodb("ListStreams"),
        "DeadLetterQueue.Arn": {"sqs:SendMessage"},
        "RetryQueue.Arn": {
            f"sqs:{action}"
            for action in (
                "ReceiveMessage",
                "DeleteMessage",
                "ChangeMessageVisibility",
                "GetQueueAttributes",
                "SendMessage",
            )
        },
    }
    assert not any("Queue.Arn" in held(made, name) for name in FUNCTIONS)


@pytest.mark.parametrize("wake", ["sqs", "streams"])
def test_no_action_is_a_pattern_and_only_one_that_takes_nothing_narrower_is_for_every_resource(exported, wake):
    made = exported(choices=Choices(wake=wake))
    everywhere = []
    for name in FUNCTIONS:
        for statement in statements(made, name):
            assert not any("*" in action for action in statement["Action"])
            if statement["Resource"] == "*":
                everywhere += statement["Action"]
    assert everywhere == ([] if wake == "sqs" else ["dynamodb:ListStreams"])


def test_a_role_may_be_taken_by_lambda_alone(exported):
    resources = exported()["Resources"]
    for name in FUNCTIONS:
        role = resources[f"{name}FunctionRole"]["Properties"]
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert (statement["Principal"], statement["Action"]) == (
            {"Service": "lambda.amazonaws.com"},
            "sts:AssumeRole",
        )
        assert "ManagedPolicyArns" not in role


def test_a_declared_bucket_may_be_written_and_read_where_requests_are_kept(exported, small):
    made = exported(small.replace("use: dynamodb", "use: dynamodb, bucket: large-things"))
    place = "arn:${AWS::Partition}:s3:::large-things/requests/*"
    having = [name for name in FUNCTIONS if held(made, name).get(place) == {"s3:GetObject", "s3:PutObject"}]
    assert having == ["Default", "Processor", "Sweep"]
    assert "s3:" not in str([statements(exported(), name) for name in FUNCTIONS])
