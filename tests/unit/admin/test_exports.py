"""The rules for Prometheus fire when they should and not otherwise; every chart of the dashboard has its metric."""

import json
import re
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from streamer.admin.alert_rules import as_yaml, rules
from streamer.admin.dashboard import as_json
from streamer.admin.exports import grafana, prometheus_rules

STORED = 'streamer_stored_requests{status="PENDING"}'
ATTEMPTS = 'streamer_attempts_total{action="a",outcome="completed"}'
RUNNING = 'streamer_running{action="a"}'
ESTIMATE = 'streamer_action_estimate_seconds{action="a"}'
FAILED = 'streamer_requests_total{action="a",mode="queued",outcome="failed"}'
COMPLETED = 'streamer_requests_total{action="a",mode="queued",outcome="completed"}'
LOST = 'streamer_attempts_total{action="a",outcome="lost"}'
SLOW = 'streamer_connections_closed_total{code="3008"}'
REFUSED = 'streamer_requests_refused_total{action="a",code="OVERLOADED"}'
TOOK = 'streamer_attempt_duration_seconds_%s{action="a"}'


def histogram(name, labels, below, above):
    """Series of a histogram that is below 1 s, or between 1 and 2.5 s, so many times a minute."""
    return {
        f'{name}_bucket{{{labels},le="1.0"}}': f"0+{below}x110",
        f'{name}_bucket{{{labels},le="2.5"}}': f"0+{below + above}x110",
        f'{name}_bucket{{{labels},le="+Inf"}}': f"0+{below + above}x110",
    }


def waits(estimate):
    name = "streamer_queue_wait_seconds_bucket"
    return {
        f'{name}{{action="a",le="60.0"}}': "0x110",
        f'{name}{{action="a",le="300.0"}}': "0+10x110",
        f'{name}{{action="a",le="+Inf"}}': "0+10x110",
        ESTIMATE: f"{estimate}x110",
    }


LAG = ("streamer_loop_lag_seconds", 'instance="i"')
CALL = ("streamer_store_call_duration_seconds", 'operation="enqueue"')


def quick_loop():
    return {f'{LAG[0]}_bucket{{{LAG[1]},le="{bound}"}}': "0+100x110" for bound in ("0.0005", "+Inf")}


CASES = {
    "StreamerPartDown": (
        [{'streamer_health_problems{instance="i"}': "1x110"}],
        [{'streamer_health_problems{instance="i"}': "0x110"}],
    ),
    "StreamerQueueStands": (
        [{STORED: "3x110", ATTEMPTS: "5x110", RUNNING: "0x110"}],
        [
            {STORED: "3x110", ATTEMPTS: "0+1x110", RUNNING: "0x110"},
            {STORED: "3x110", ATTEMPTS: "5x110", RUNNING: "1x110"},
            {STORED: "0x110", ATTEMPTS: "5x110", RUNNING: "0x110"},
        ],
    ),
    "StreamerQueueWaitLong": ([waits(10), waits(0)], [waits(100)]),
    "StreamerErrorsFast": (
        [{FAILED: "0+20x110", COMPLETED: "0+80x110"}],
        [{FAILED: "0+10x110", COMPLETED: "0+90x110"}, {FAILED: "0+80x60 4800x50", COMPLETED: "0+80x110"}],
    ),
    "StreamerErrorsSlow": (
        [{FAILED: "0+10x110", COMPLETED: "0+90x110"}],
        [{FAILED: "0+1x110", COMPLETED: "0+99x110"}],
    ),
    "StreamerDeadLetters": ([{FAILED: "0+1x110"}], [{FAILED: "7x110"}, {COMPLETED: "0+9x110"}]),
    "StreamerLeasesLost": ([{LOST: "0+1x110"}], [{LOST: "5x110"}, {ATTEMPTS: "0+9x110"}]),
    "StreamerSlowConsumers": (
        [{SLOW: "0+1x110"}], [{SLOW: "5x110"}, {'streamer_connections_closed_total{code="1000"}': "0+9x110"}]
    ),
    "StreamerRefusing": (
        [{REFUSED: "0+120x110"}],
        [{REFUSED: "0+30x110"}, {REFUSED.replace("OVERLOADED", "VALIDATION_ERROR"): "0+120x110"}],
    ),
    "StreamerEstimateDrifted": (
        [{TOOK % "sum": "0+60x110", TOOK % "count": "0+1x110", ESTIMATE: "10x110"}],
        [
            {TOOK % "sum": "0+20x110", TOOK % "count": "0+1x110", ESTIMATE: "10x110"},
            {TOOK % "sum": "0+60x110", TOOK % "count": "0+1x110", ESTIMATE: "0x110"},
        ],
    ),
    "StreamerStoreSlow": ([histogram(*CALL, 50, 50)], [histogram(*CALL, 100, 0)]),
    "StreamerLoopBlocked": ([histogram(*LAG, 50, 50)], [quick_loop()]),
}  # fmt: skip


def test_every_rule_has_a_case():
    assert set(CASES) == {rule.name for rule in rules()}
    assert all(fires and quiet for fires, quiet in CASES.values())


@pytest.fixture
def check(promtool, tmp_path):
    """Runs promtool in the folder of the test."""

    def run(*arguments):
        return subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def only(name):
    """The file of rules with one rule, because all of them would be evaluated for each minute."""
    file = yaml.safe_load(as_yaml())
    (group,) = file["groups"]
    group["rules"] = [rule for rule in group["rules"] if rule["alert"] == name]
    return yaml.safe_dump(file)


def situation(name, series, *, fires):
    """A test of `promtool`: whether the alert fires after 100 minutes."""
    expectation = {
        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
        "eval_time": "100m",
        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
    }
    inputs = [{"series": one, "values": values} for one, values in series.items()]
    return {"interval": "1m", "input_series": inputs, "promql_expr_test": [expectation]}


def test_promtool_accepts_the_rules(check, tmp_path):
    (tmp_path / "rules.yml").write_text(as_yaml())
    done = check("check", "rules", "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_a_rule_fires_when_it_should_and_only_then(check, tmp_path, name):
    fires, quiet = CASES[name]
    tests = [
        *(situation(name, series, fires=True) for series in fires),
        *(situation(name, series, fires=False) for series in quiet),
    ]
    (tmp_path / "rules.yml").write_text(only(name))
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    done = check("test", "rules", "test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_of_rules_sees_one_that_does_not_fire(check, tmp_path):
    name = "StreamerPartDown"
    (tmp_path / "rules.yml").write_text(only(name).replace("streamer_health_problems", "streamer_made_up"))
    tests = [situation(name, CASES[name][0][0], fires=True)]
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    assert check("test", "rules", "test.yml").returncode != 0


def names_in(text):
    """The metrics that PromQL names, with the labels that it asks for or groups by."""
    return set(re.findall(r"\b((?:streamer|process)_[a-z_]+)", text))


async def test_every_query_of_the_dashboard_and_of_the_rules_exists_in_a_scrape(admin):
    await admin.call({"action": "echo", "payload": 1}, {"action": "no", "payload": 1})
    await admin.call({"action": "report", "payload": 1}, answers=2)
    # A request that fails, and a call of the store that does.
    await admin.call({"action": "streamer.status", "payload": {"request_id": "nothing"}})
    await admin.ask("/admin/v1/requests/nothing/retry?owner=x", "POST", headers={"Authorization": "x"})
    samples = await admin.samples_until(
        lambda samples: (
            samples['streamer_attempt_duration_seconds_count{action="report"}'] == 1
            and 'streamer_connections_closed_total{code="1000"}' in samples
            and any(name.startswith("streamer_stored_requests") for name in samples)
        )
    )
    scraped = {name.partition("{")[0] for name in samples}
    dashboard = json.loads(as_json())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [variable["query"]["query"] for variable in dashboard["templating"]["list"][1:]]
    assert len(queries) > 25
    for query in [*queries, *(rule.expression for rule in rules())]:
        assert names_in(query) <= scraped, query
    labels = {name.partition("{")[0]: set(re.findall(r'(\w+)="', name)) for name in samples}
    for query in queries:
        for grouped, metric in re.findall(r"sum by \(([^)]*)\) \(rate\((\w+)\{", query):
            # What Prometheus adds to each target is not in a scrape.
            assert set(grouped.split(", ")) - {"instance", "job"} <= labels[metric], query


def test_the_dashboard_is_what_grafana_imports():
    dashboard = json.loads(as_json("Shop"))
    assert dashboard["title"] == "Shop"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken)), "two panels are on top of each other"
    assert max(x for x, _ in taken) < 24


def test_the_commands_write_what_can_be_used():
    rules_ = CliRunner().invoke(prometheus_rules, ["--objective", "99.9"])
    assert rules_.exit_code == 0
    text = yaml.safe_load(rules_.output)
    assert [rule["alert"] for rule in text["groups"][0]["rules"]] == list(CASES)
    assert "> 0.0144" in rules_.output
    assert CliRunner().invoke(prometheus_rules, ["--objective", "50"]).exit_code == 2
    shown = CliRunner().invoke(grafana, ["--title", "Shop"])
    assert json.loads(shown.output)["title"] == "Shop"
