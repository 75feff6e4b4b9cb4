from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import uvloop

from streamer.contracts.components import BuildContext
from streamer.core.clock import SystemClock
from streamer.core.errors import Error, StartError
from streamer.core.messages import Request, Result
from streamer.handlers import command_options
from streamer.handlers.command import CommandHandler, build
from streamer.handlers.command_options import INHERITED
from streamer.handlers.program import Program

pytestmark = pytest.mark.service  # it starts programs


class ShortGrace(SystemClock):
    """The machine's clock, but what this package waits for passes at once, after the loop has turned."""

    async def sleep(self, seconds):
        await asyncio.sleep(0.05)


@pytest.fixture
def context(tmp_path, log):
    return BuildContext(base_dir=tmp_path, logger=log)


@pytest.fixture
def program(tmp_path):
    """`program("source")`: an executable Python script in the file's folder."""

    def make(source: str, name: str = "program.py") -> str:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\n" + dedent(source))
        path.chmod(0o755)
        return f"./{name}"

    return make


@pytest.fixture
def shell(tmp_path):
    def make(source: str, name: str = "script.sh") -> str:
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + dedent(source))
        path.chmod(0o755)
        return f"./{name}"

    return make


@pytest.fixture
def run(context, request_of):
    async def go(*argv: str, payload=None, request: Request | None = None, **options):
        handler = build({"argv": list(argv), **options}, context)
        return await handler.process(request or request_of(payload))

    return go


@pytest.fixture
def handler_of(context, tmp_path, log):
    """With a clock and a grace of the test's own."""

    def make(argv: str, **changes) -> CommandHandler:
        given = {"cwd": tmp_path, "env": dict(os.environ), "clock": SystemClock(), "logger": log, **changes}
        return CommandHandler([str(tmp_path / argv)], **given)

    return make


async def refused(awaitable) -> Error:
    with pytest.raises(Error) as caught:
        await awaitable
    return caught.value


async def test_payload_goes_in_progress_and_result_come_out(run, program, recorder):
    name = program("""
        import json, sys
        payload = json.load(sys.stdin)
        print(json.dumps({"progress": 40, "message": "half", "metadata": {"rows": 3}}), flush=True)
        print(json.dumps({"result": {"got": payload, "argv": sys.argv[1:]}}))
    """)
    result = await run(name, "--fast", "a b", "$HOME;ls", payload={"a": ["ü", None]})
    assert result == Result(data={"got": {"a": ["ü", None]}, "argv": ["--fast", "a b", "$HOME;ls"]})
    assert recorder.reports == [(40.0, "half", {"rows": 3})]


def test_it_works_on_uvloop_too(program, shell, context, request_of):
    echo = program('import sys; print(\'{"result": \' + sys.stdin.readline().strip() + "}")')
    missing = shell("exit 3")
    hang = shell("echo '{\"progress\": 1}'; sleep 1000", "hang.sh")

    async def go():
        big = "x" * 300_000
        assert (await build({"argv": [echo]}, context).process(request_of(big))).data == big
        assert (await refused(build({"argv": [missing]}, context).process(request_of(big)))).details == {"exit": 3}
        error = await refused(build({"argv": [hang], "timeout": "50ms"}, context).process(request_of(big)))
        assert error.code == "TIMEOUT"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(go())


async def test_the_input_is_one_document_and_a_line_break(run, program):
    name = program('import json, sys; print(json.dumps({"result": sys.stdin.read()}))')
    assert (await run(name, payload={"a": 1})).data == '{"a":1}\n'


async def test_progress_is_live(run, shell, recorder, tmp_path):
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    name = shell(f"echo '{{\"progress\": 1}}'; cat {go_on}; echo '{{\"result\": 2}}'")
    recorder.on_report = lambda: os.close(os.open(go_on, os.O_WRONLY))
    assert (await run(name)).data == 2


async def test_the_request_is_described_in_the_environment(run, program, request_of):
    name = program("""
        import json, os
        print(json.dumps({"result": {k: v for k, v in os.environ.items() if k.startswith(("STREAMER_", "X_"))}}))
    """)
    request = request_of(metadata={"tenant": "acme"}, attempt=2)
    assert (await run(name, request=request, env={"X_COLOUR": "red"})).data == {
        "STREAMER_REQUEST_ID": "req-1",
        "STREAMER_ACTION": "act",
        "STREAMER_ATTEMPT": "2",
        "STREAMER_METADATA": '{"tenant":"acme"}',
        "X_COLOUR": "red",
    }


@pytest.mark.parametrize(
    ("choice", "seen"),
    [
        ({}, False),
        ({"inherit_env": False}, False),
        ({"inherit_env": True}, True),
        ({"inherit_env": ["A_SECRET"]}, True),
    ],
)
async def test_our_environment_is_not_inherited_unless_the_file_says_so(run, shell, monkeypatch, choice, seen):
    monkeypatch.setenv("A_SECRET", "hunter2")
    name = shell('if [ -n "$A_SECRET" ]; then echo \'{"result": true}\'; else echo \'{"result": false}\'; fi')
    assert (await run(name, **choice)).data is seen


async def test_metadata_that_no_environment_can_hold_is_the_clients_error(run, shell, request_of):
    error = await refused(run(shell("exit 0"), request=request_of(metadata={"a": "x" * 65536})))
    assert (error.code, error.message) == ("VALIDATION_ERROR", "The metadata is longer than 65536 bytes")


async def test_it_runs_in_the_files_folder_or_where_it_is_told(run, program, tmp_path):
    name = program('import json, os; print(json.dumps({"result": os.getcwd()}))')
    (tmp_path / "sub").mkdir()
    assert (await run(name)).data == str(tmp_path)
    assert (await run(name, cwd="sub")).data == str(tmp_path / "sub")


async def test_an_error_line_is_the_answer_whatever_the_exit_status(run, shell):
    name = shell('echo \'{"error": {"code": "NO_ROOM", "message": "full", "details": {"free": 0}}}\'')
    assert await refused(run(name)) == Error("NO_ROOM", "full", {"free": 0})


async def test_a_result_counts_whatever_the_exit_status(run, shell):
    assert (await run(shell("echo '{\"result\": 1}'; exit 3"))).data == 1


async def test_silence_and_status_zero_are_a_null_result(run, shell):
    assert await run(shell("exit 0")) == Result(data=None)


async def test_silence_and_another_status_are_an_error_with_the_status(run, shell, log):
    error = await refused(run(shell("echo looking >&2; echo not found >&2; exit 3")))
    assert error == Error(
        "INTERNAL_ERROR", "The program ended with exit status 3 and without a result", {"exit": 3}, retryable=False
    )
    assert error.__notes__ == ["the last lines of script.sh's stderr: looking | not found"]


async def test_a_death_by_signal_is_retryable(run, shell):
    error = await refused(run(shell("kill -9 $$")))
    assert (error.retryable, error.details) == (True, {"exit": -9, "signal": "Killed"})
    assert not hasattr(error, "__notes__")


async def test_stderr_goes_to_the_log_line_by_line(run, shell, log, request_of):
    await run(shell("printf 'one\\ntwo\\033[31m\\nthree' >&2"))
    assert [line[:2] for line in log.lines] == [
        ("info", "script.sh: one"),
        ("info", "script.sh: two\ufffd[31m"),
        ("info", "script.sh: three"),
    ]


async def test_a_flood_on_stderr_is_bounded(run, program, log):
    name = program("""
        import sys
        sys.stderr.write("x" * 5_000_000 + "\\n")
        for n in range(3000):
            print("line", n, file=sys.stderr)
        sys.exit(1)
    """)
    error = await refused(run(name))
    assert len(log.lines) == 1001
    assert len(log.lines[0][1]) < 2100
    assert log.lines[-1][:2] == ("warning", "program.py: 2001 more lines of stderr are not shown")
    assert "line 2999" in error.__notes__[0]
    assert "line 2979" not in error.__notes__[0]


async def test_a_line_that_is_not_json_is_named_by_its_number_and_shown_to_the_log_only(run, shell):
    error = await refused(run(shell("echo '{\"progress\": 1}'; echo secret text; exec sleep 1000")))
    assert (error.code, error.details) == ("INTERNAL_ERROR", {"line": 2})
    assert "secret" not in error.message
    assert "secret text" in error.__notes__[0]


async def test_a_line_over_max_output_is_an_error(run, program):
    name = program("print('{\"result\": \"' + 'x' * 5000 + '\"}')")
    assert len((await run(name)).data) == 5000
    error = await refused(run(name, max_output="4KiB"))
    assert "longer than 4096 bytes" in error.__notes__[0]


async def test_a_program_that_does_not_read_does_not_hang(run, shell):
    assert (await run(shell("echo '{\"result\": 1}'"), payload="x" * 1_000_000)).data == 1


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_program_that_ends_before_it_is_handed_anything_is_read_all_the_same(loop_factory):
    output = bytearray()

    async def go():
        program = await Program.start(
            ["/bin/sh", "-c", "echo done; exit 3"],
            cwd=Path("/"),
            env={},
            stdin=b"x" * 1_000_000,
            on_stdout=output.extend,
            on_stderr=output.extend,
            clock=SystemClock(),
            grace=1.0,
        )
        await program.done
        assert await program.stop()
        assert (program.status, bytes(output)) == (3, b"done\n")

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(go())


async def test_a_program_that_writes_before_it_reads_does_not_hang(run, program):
    name = program("""
        import json, sys
        for n in range(20_000):
            print(json.dumps({"progress": n % 100, "message": "x" * 100}))
            print("y" * 100, file=sys.stderr)
        print(json.dumps({"result": len(sys.stdin.read())}))
    """)
    assert (await run(name, payload="x" * 1_000_000)).data == 1_000_003


async def test_a_program_that_was_left_behind_holding_the_output_is_not_waited_for(handler_of, shell, request_of):
    shell("sleep 1000 & echo '{\"result\": 1}'")
    assert (await handler_of("script.sh", clock=ShortGrace()).process(request_of("x" * 1_000_000))).data == 1


def pids_of(recorder) -> list[int]:
    return [int(text) for _, text, _ in recorder.reports]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


FAMILY = """
    import json, os, signal, subprocess, sys
    wait = "import threading; print(1, flush=True); threading.Event().wait()"
    child = subprocess.Popen([sys.executable, "-c", IGNORES + wait], stdout=subprocess.PIPE)
    child.stdout.readline()
    exec(IGNORES)
    for pid in (os.getpid(), child.pid):
        print(json.dumps({"progress": 1, "message": str(pid)}), flush=True)
    child.wait()
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"


@pytest.fixture
def family(program, recorder):
    """A program with a child, both reported by their process id; and an event for when they are up."""

    def make(*, ignores: str) -> asyncio.Event:
        program(f"IGNORES = {ignores!r}\n" + dedent(FAMILY))
        up = asyncio.Event()
        recorder.on_report = lambda: up.set() if len(recorder.reports) == 2 else None
        return up

    return make


@pytest.fixture
def started(monkeypatch):
    """Every program that was started; a test that leaves one behind waits for its end."""
    programs: list[Program] = []
    start = Program.start

    async def remember(*arguments, **options):
        programs.append(await start(*arguments, **options))
        return programs[-1]

    monkeypatch.setattr(Program, "start", remember)
    return programs


@pytest.mark.parametrize("ignores", ["", DEAF])
async def test_a_cancelled_run_ends_with_its_whole_process_group(handler_of, family, recorder, request_of, ignores):
    up = family(ignores=ignores)
    task = asyncio.ensure_future(handler_of("program.py", grace=0.1 if ignores else 60).process(request_of()))
    await up.wait()
    assert all(map(alive, pids_of(recorder)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(recorder)


async def gone(recorder) -> None:
    """The leader is reaped; its child is dead as soon as the kernel has got to it."""
    leader, child = pids_of(recorder)
    assert not alive(leader)
    while alive(child):
        await asyncio.sleep(0.001)


async def test_a_timeout_ends_the_whole_process_group(handler_of, family, recorder, request_of):
    up = family(ignores="")

    class AfterUp(SystemClock):
        async def sleep(self, seconds):
            await (up.wait() if seconds == 5 else asyncio.sleep(seconds))

    error = await refused(handler_of("program.py", timeout=5, clock=AfterUp()).process(request_of()))
    assert error == Error("TIMEOUT", "The program took longer than 5s", retryable=True)
    await gone(recorder)


async def test_a_run_within_its_timeout_is_not_disturbed(run, shell):
    assert (await run(shell("echo '{\"result\": 1}'"), timeout="1h")).data == 1


async def test_a_second_cancellation_does_not_wait_for_the_grace(handler_of, family, recorder, started):
    up = family(ignores=DEAF)
    handler = handler_of("program.py", grace=3600)
    request = Request(id="req-1", action="act", progress=recorder)
    task = asyncio.ensure_future(handler.process(request))
    await up.wait()
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await started[0].exited
    await gone(recorder)


async def test_a_program_that_cannot_be_killed_is_left_behind_and_logged(handler_of, family, recorder, log, started):
    up = family(ignores="")
    request = Request(id="req-1", action="act", progress=recorder)
    task = asyncio.ensure_future(handler_of("program.py", clock=ShortGrace()).process(request))
    await up.wait()
    # As if it had another user's rights: its group is not ours to signal (0 would be our own group).
    group, started[0]._group = started[0]._group, 1 << 22
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ("error", "program.py cannot be killed and keeps running") in [line[:2] for line in log.lines]
    os.killpg(group, signal.SIGKILL)
    await started[0].exited


async def test_the_terminal_signal_of_our_own_group_does_not_reach_it(run, program):
    name = program('import json, os; print(json.dumps({"result": os.getsid(0) == os.getpid()}))')
    assert (await run(name)).data is True


async def test_a_program_that_was_taken_away_is_a_clear_error(context, shell, request_of, tmp_path):
    handler = build({"argv": [shell("exit 0")]}, context)
    (tmp_path / "script.sh").unlink()
    error = await refused(handler.process(request_of()))
    assert error == Error("INTERNAL_ERROR", "The program of this action could not be started")
    assert "No such file" in error.__notes__[0]


async def test_a_script_without_its_first_line_is_a_clear_error(run, tmp_path):
    (tmp_path / "bare").write_text("echo hello\n")
    (tmp_path / "bare").chmod(0o755)
    error = await refused(run("./bare"))
    assert "does it start with a line like #!/bin/sh?" in error.__notes__[0]


async def test_a_program_in_the_path_needs_no_folder(run):
    assert (await run("printf", '{"result": "%s"}', "found")).data == "found"


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        (["./missing.sh"], {}, "'./missing.sh' does not exist as a file at "),
        (["./folder/"], {}, "does not exist as a file"),
        (["./plain.txt"], {}, "is not executable; try: chmod +x "),
        (["no-such-program-anywhere"], {}, "was not found in PATH (/"),
        (["no-such-program-anywhere"], {"env": {"PATH": "/nowhere"}}, "was not found in PATH (/nowhere)"),
        (["true"], {"cwd": "gone"}, "the folder does not exist; fix the option cwd"),
    ],
)
def test_what_cannot_run_is_said_when_the_service_starts(context, tmp_path, argv, options, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain.txt").write_text("")
    with pytest.raises(StartError) as caught:
        build({"argv": argv, **options}, context)
    assert said in str(caught.value)


def test_a_program_without_a_path_variable_is_looked_for_where_the_system_does(context, monkeypatch):
    monkeypatch.setattr(command_options, "INHERITED", ())
    assert build({"argv": ["sh"]}, context)._argv[0].endswith("/sh")


def test_its_estimate_is_one_second(context):
    assert build({"argv": ["true"]}, context).estimated_duration() == 1.0


async def test_many_run_at_once(run, program):
    name = program('import json, sys; print(json.dumps({"result": json.load(sys.stdin)}))')
    results = await asyncio.gather(*(run(name, payload=n) for n in range(8)))
    assert [result.data for result in results] == list(range(8))
    assert json.dumps([result.data for result in results])


HOSTILE = [
    "$(touch stolen)",
    "`touch stolen`",
    "; touch stolen #",
    "--help",
    "-rf",
    "a\nPATH=/tmp/evil",
    "() { :;}; touch stolen",
    "%s%n",
    "../../etc/passwd",
    "\u202e",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_nothing_that_a_client_sends_becomes_an_argument_or_a_variable(run, program, request_of, tmp_path, text):
    name = program("""
        import json, os, sys
        print(json.dumps({"result": {"argv": sys.argv[1:], "env": dict(os.environ), "stdin": sys.stdin.read()}}))
    """)
    payload = {text: text, "argv": [text], "env": {"PATH": text, "LD_PRELOAD": text}, "cwd": text}
    metadata = {"PATH": text, "LD_PRELOAD": text, text: text}
    request = request_of(payload, id=text, metadata=metadata)
    found = (await run(name, "--fixed", request=request, env={"OWN": "value"})).data
    assert found["argv"] == ["--fixed"]
    assert json.loads(found["stdin"]) == payload
    env = found["env"]
    own = {name: env.pop(name) for name in [*env] if name.startswith("STREAMER_")}
    assert own == {
        "STREAMER_REQUEST_ID": text,
        "STREAMER_ACTION": "act",
        "STREAMER_ATTEMPT": "1",
        "STREAMER_METADATA": own["STREAMER_METADATA"],
    }
    assert json.loads(own["STREAMER_METADATA"]) == metadata
    expected = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"OWN": "value"}
    # The interpreter itself sets a locale where the system has none.
    assert {name: value for name, value in env.items() if name != "LC_CTYPE"} == {
        name: value for name, value in expected.items() if name != "LC_CTYPE"
    }
    assert not (tmp_path / "stolen").exists()
