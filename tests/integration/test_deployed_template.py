"""The exported template, deployed into an emulated AWS that knows nothing of this project, and spoken to.

What ministack 1.5.33 cannot do is taken out of the template first, and named where it is. Where STREAMER_TEST_AWS_STACK
names a stack that `sam deploy` made of the same file in a real account, the same conversation is held with that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import websockets
import yaml

from streamer.core.clock import SystemClock
from streamer_aws.dynamodb.clients import connect

CONFIG = """
version: 1
service: {name: deployed}
auth: {use: none, allow_anyone: true}
backends:
  store: {use: dynamodb, prefix: deployed-}
  connections: {use: apigateway, prefix: deployed-, progress_interval: 50ms}
actions:
  echo: {handler: echo}
  slow: {handler: delay, with: {delay: 500ms}, mode: async, timeout: 1m}
"""
TRANSFORM = """
import json, sys
from samtranslator.translator.transform import transform
class Policies:
    def load(self):
        return {}
json.dump(transform(json.load(sys.stdin), {}, Policies()), sys.stdout)
"""
REGION = "eu-central-1"
STACK = "deployed"
CODE = "deployed-code"


def exported(folder: Path, python: str) -> dict:
    (folder / "aws.yaml").write_text(CONFIG)
    command = ["--config", "aws.yaml", "--output", "template.yaml", "--package", "package", "--python", python]
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "export", "sam", *command],
        cwd=folder,
        env={**os.environ, "PIP_NO_BUILD_ISOLATION": "0"},  # what pip takes for: none, the backend is installed here
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made: dict = yaml.safe_load((folder / "template.yaml").read_text())
    return made


def packed(folder: Path) -> bytes:
    """As `sam deploy` uploads it; uncompressed, which is quicker."""
    place = folder / "package.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted((folder / "package").rglob("*")):
            archive.write(path, path.relative_to(folder / "package"))
    return place.read_bytes()


def for_ministack(made: dict, endpoint: str, transform) -> dict:
    function = made["Globals"]["Function"]
    function["CodeUri"] = f"s3://{CODE}/package.zip"
    # Its functions are processes of this machine: AWS is elsewhere for them, and nobody gives them a role.
    function["Environment"]["Variables"] |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": {"Fn::Sub": f"{endpoint}/_aws/execute-api/${{Api}}/live"},
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    plain = transform(made)
    # It has no metric math, on which alarms are built; and it takes no number from a parameter, as the cap on
    # processors at one time is.
    plain["Resources"] = {
        name: one for name, one in plain["Resources"].items() if one["Type"] != "AWS::CloudWatch::Alarm"
    }
    for one in plain["Resources"].values():
        one["Properties"].pop("ScalingConfig", None)
    return plain


@pytest.fixture
async def url(ministack, aws_tool, tmp_path):
    if real := os.environ.get("STREAMER_TEST_AWS_STACK"):
        yield await output_of(real)
        return
    interpreter = aws_tool("python")
    version = subprocess.run([interpreter, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]

    def transform(made: dict) -> dict:
        done = subprocess.run(
            [interpreter, "-c", TRANSFORM],
            input=json.dumps(made),
            env={"AWS_DEFAULT_REGION": REGION},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        plain: dict = json.loads(done.stdout)
        return plain

    plain = for_ministack(exported(tmp_path, ".".join(version.split(".")[:2])), ministack, transform)
    async with (
        connect(REGION, ministack, "s3") as s3,
        connect(REGION, ministack, "cloudformation") as stacks,
        connect(REGION, ministack, "apigatewayv2") as gateway,
    ):
        await s3.create_bucket(Bucket=CODE, CreateBucketConfiguration={"LocationConstraint": REGION})
        await s3.put_object(Bucket=CODE, Key="package.zip", Body=packed(tmp_path))
        await stacks.create_stack(StackName=STACK, TemplateBody=json.dumps(plain), Capabilities=["CAPABILITY_IAM"])
        for _ in range(600):
            status = (await stacks.describe_stacks(StackName=STACK))["Stacks"][0]["StackStatus"]
            if not status.endswith("IN_PROGRESS"):
                break
            await SystemClock().sleep(0.1)
        assert status == "CREATE_COMPLETE"
        (api,) = [one["ApiId"] for one in (await gateway.get_apis())["Items"] if one["Name"] == STACK]
        yield f"{ministack.replace('http', 'ws', 1)}/_aws/execute-api/{api}/live"
        await stacks.delete_stack(StackName=STACK)


async def output_of(stack: str) -> str:
    """The address of a stack in the account whose credentials the environment holds."""
    async with connect(None, None, "cloudformation") as stacks:
        described = (await stacks.describe_stacks(StackName=stack))["Stacks"][0]
    return next(one["OutputValue"] for one in described["Outputs"] if one["OutputKey"] == "Url")


async def test_the_template_makes_a_service_that_answers_and_runs_what_is_queued(url):
    async with websockets.connect(f"{url}?client_id=somebody", open_timeout=60) as socket:
        await socket.send(json.dumps({"action": "echo", "id": "direct", "payload": {"hello": "world"}}))
        answer = json.loads(await socket.recv())
        assert (answer["type"], answer["data"]["echo"]) == ("response", {"hello": "world"})
        await socket.send(json.dumps({"action": "slow", "id": "queued"}))
        heard = []
        while not heard or heard[-1]["type"] not in ("complete", "error"):
            heard.append(json.loads(await socket.recv()))
    assert [message["type"] for message in heard if message["type"] != "progress"] == ["acknowledgment", "complete"]
    assert [message["seq"] for message in heard] == sorted({message["seq"] for message in heard})
    assert heard[-1]["result"]["steps"] == 10
