"""What is measured, as an operator sees it: a real Prometheus scrapes a guard that works on a chain.

Every query of the dashboard gives data, every alarm evaluates and one is made to ring. The rules have tests of their
own (``hardening/monitoring/alerts_test.yml``).
"""

import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.admin import Lock, Unlock
from wallet_guard.ipc.blocking import ask

MONITORING = Path(__file__).parents[2] / "hardening" / "monitoring"

SECONDS = 60.0
"""For anything at all."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="LOUD: no promtool on this machine")

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="LOUD: no prometheus on this machine")

CONFIG = """\
global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: wallet-guard
    static_configs: [{{targets: ["{target}"]}}]
"""


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=SECONDS, check=False)


@needs_promtool
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", str(MONITORING / "alerts.yml")),
        ("check", "config", str(MONITORING / "prometheus.yml")),
        ("test", "rules", str(MONITORING / "alerts_test.yml")),
    ],
    ids=["rules are sound", "the example is sound", "each rings when it must"],
)
def test_promtool_agrees(words):
    done = promtool(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alarm_has_a_test():
    named = re.findall(r"- alert: (\w+)", (MONITORING / "alerts.yml").read_text())
    tested = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts", (MONITORING / "alerts_test.yml").read_text()))
    assert len(named) > 10
    assert set(named) == tested


def queries() -> Iterator[tuple[str, str]]:
    """Title and query of every panel, with what Grafana would fill in."""
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "30s").replace("$instance", ".+")
            assert "$" not in query
            yield panel["title"], query


class Prometheus:
    """One process on a port of its own."""

    def __init__(self, folder: Path, target: str) -> None:
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(rules=json.dumps(str(MONITORING / "alerts.yml")), target=target))
        # It takes no socket and no port 0: a free one is looked for, which another program might take meanwhile.
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.log = folder / "prometheus.log"
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def get(self, path: str, **fields: str) -> Any:
        """The data of an answer; None while it is not there."""
        assert self.process.poll() is None, self.log.read_text()
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:
                told = json.load(answer)
            assert told["status"] == "success", told
            return told["data"]
        return None

    def values(self, query: str) -> list[float]:
        """What a query gives now, numbers only."""
        found = self.get("query", query=query)
        values = [float(each["value"][1]) for each in found["result"]] if found else []
        return [value for value in values if math.isfinite(value)]

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            self.process.wait(SECONDS)


@pytest.fixture(scope="module")
def guard(make_house: Callable[..., Any]) -> Any:
    """A guard with its figures open, whose first weights are effective and whose next ones will be refused."""
    guard = make_house(gateway={"metrics": "127.0.0.1:0"}).guard
    answer = guard.insist()
    guard.wait(answer.body["intent"], "effective")
    return guard


@pytest.fixture(scope="module")
def prometheus(guard: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    address = re.search(r"figures at http://(127\.0\.0\.1:\d+)/metrics", guard.log("gateway"))
    assert address
    made = Prometheus(tmp_path_factory.mktemp("p"), address[1])
    yield made
    made.end()


def live(guard: Any) -> None:
    """What a day brings: weights that are taken, asked for twice, refused; and a stranger."""
    guard.insist(uids=[1, 2], weights=[1, 2])
    assert guard.set_weights(uids=[1, 1], weights=[1, 1]).status == 422
    assert guard.request("GET", "/wallet/info", token="wg_of_nobody_at_all").status == 401
    assert guard.request("GET", "/nowhere").status == 404


@needs_prometheus
def test_every_panel_of_the_dashboard_has_data(guard, prometheus, until):
    missing = dict(queries())
    assert len(missing) > 20
    empty = set(queries())

    def filled() -> bool:
        live(guard)
        empty.difference_update({each for each in empty if prometheus.values(each[1])})
        return not empty

    try:
        until(filled, "data for every panel", 2 * SECONDS)
    except AssertionError:
        raise AssertionError(f"no data: {sorted(empty)}") from None


@needs_prometheus
def test_every_alarm_evaluates(prometheus, until):
    def rules() -> list[dict[str, Any]]:
        groups = (prometheus.get("rules") or {"groups": []})["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if found and all(rule["health"] != "unknown" for rule in found) else []

    for rule in until(rules, "an evaluation of each rule"):
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]


@needs_prometheus
def test_the_alarm_rings_while_the_signer_is_locked(guard, prometheus, until):
    def ringing() -> set[str]:
        told = (prometheus.get("alerts") or {"alerts": []})["alerts"]
        return {alert["labels"]["alertname"] for alert in told if alert["state"] == "firing"}

    assert "WalletGuardLocked" not in ringing()
    ask(guard.signer_socket("admin"), Lock("a drill"))
    try:
        until(lambda: "WalletGuardLocked" in ringing(), "the alarm")
    finally:
        ask(guard.signer_socket("admin"), Unlock())
    until(lambda: "WalletGuardLocked" not in ringing(), "its end")


@needs_prometheus
def test_a_signer_that_was_killed_is_seen_and_so_is_its_return(guard, prometheus, until):
    guard.kill("signer")
    until(lambda: 0.0 in prometheus.values('wallet_guard_up{process="signer"}'), "the signer's absence")
    guard.start("signer")
    until(lambda: prometheus.values('wallet_guard_up{process="signer"}') == [1.0], "its return")
    # What is read from the journal is told as before.
    until(lambda: prometheus.values("wallet_guard_weights_effective_block"), "the weights of before")
