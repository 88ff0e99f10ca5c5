"""The files in ``docker/``: that they say what they should, and their commands one by one where no engine runs."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from smsc_filter.cli.parser import build_parser
from smsc_filter.settings import read_settings
from smsc_filter.state.embedded import server_binary
from smsc_filter.web.metrics import METRICS
from tests.conftest import StartRelay
from tests.relay.harness import Smsc, wait_until
from tests.web.test_service import web_port

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"

RECORDED = {"smsc_filter:messages:rate1m", "smsc_filter:refused:rate1m"}


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest) of the Dockerfile, lines that go on joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return found


def environment() -> dict[str, str]:
    """What the image and the composition set, as the service gets it."""
    pairs = dict(pair.split("=", 1) for line in of("ENV") for pair in shlex.split(line))
    pairs |= compose()["services"]["relay"]["environment"]
    return {name: re.sub(r"\$\{\w+:\?[^}]*\}", "s3cret", value) for name, value in pairs.items()}


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"smsc_filter[\w:]*", expression))


def known_names() -> set[str]:
    """Every name a query may use."""
    names: set[str] = set(RECORDED)
    for name, named in METRICS.items():
        suffixes = {"CounterMetricFamily": ("_total",), "HistogramMetricFamily": ("_bucket", "_sum", "_count")}
        names |= {name + suffix for suffix in suffixes.get(named.kind.__name__, ("",))}
    return names


def test_the_image_is_small_and_runs_as_nobody_special() -> None:
    stages = of("FROM")
    assert [stage.split()[0] for stage in stages] == ["python:3.13-slim"] * 2
    last = instructions()[[index for index, (name, _) in enumerate(instructions()) if name == "FROM"][-1] :]
    assert ("USER", "smsc-filter") in last
    assert [name for name, _ in last].index("USER") < [name for name, _ in last].index("ENTRYPOINT")
    assert not any("apt" in rest for name, rest in instructions() if name == "RUN")


@pytest.mark.parametrize("source", [
    source for rest in of("COPY") if "--from" not in rest for source in rest.split()[:-1]
])  # fmt: skip
def test_what_is_copied_is_there(source: str) -> None:
    assert (ROOT / source).exists()


def test_every_package_of_the_image_has_a_known_version() -> None:
    install = next(rest for rest in of("RUN") if "pip install" in rest)
    assert "-c constraints.txt" in install
    assert '".[postgresql]"' in install
    assert "RUN" in {name for name, _ in instructions()}


def test_what_the_container_runs_is_a_verb() -> None:
    command = [*json.loads(of("ENTRYPOINT")[0]), *json.loads(of("CMD")[-1])]
    assert command[0] == "smsc-filter"
    for words in (command[1:], [str(word) for word in compose()["services"]["smsc"]["command"]]):
        build_parser(words[0]).parse_args(words)


def test_the_configuration_can_be_served() -> None:
    settings = read_settings(DOCKER / "smsc-filter.toml", environment())
    assert settings.state.redis_url.startswith("redis://valkey")
    assert settings.records.database_url == "postgresql+psycopg://smsc_filter:s3cret@postgres/smsc_filter"
    assert (settings.listen.host, settings.web.host) == ("0.0.0.0", "0.0.0.0")
    assert str(settings.data_dir) == of("VOLUME")[0]
    assert {str(settings.listen.port), str(settings.web.port)} == set(of("EXPOSE")[0].split())


def test_the_health_check_tells_ready_from_not(smsc: Smsc, start_relay: StartRelay) -> None:
    relay = start_relay(smsc.port, web={"enabled": True})
    port = wait_until(lambda: web_port(relay), "the web says where it is")
    words = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert words[0] == "python"
    assert ":8080/" in words[-1]

    def check(to: int) -> int:
        command = [sys.executable, *words[1:-1], words[-1].replace(":8080/", f":{to}/")]
        return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode

    wait_until(lambda: check(port) == 0, "the service is ready")
    assert check(1) != 0


def test_the_store_starts_with_the_command_of_the_composition(tmp_path: Path) -> None:
    name, *options = (str(word) for word in compose()["services"]["valkey"]["command"])
    assert name == "valkey-server"
    socket = tmp_path / "s"
    with subprocess.Popen(
        [server_binary(), *options, "--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            wait_until(socket.exists, "the store listens")
            wait_until((tmp_path / "appendonlydir").is_dir, "it keeps an append-only file")
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_the_composition_hangs_together() -> None:
    found = compose()
    services = found["services"]
    assert {"relay", "valkey", "postgres", "prometheus", "grafana"} <= services.keys()
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= services.keys(), name
        assert re.fullmatch(r"([a-z-]+/)?[a-z-]+(:[\w.-]+)?", service["image"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DOCKER / source).exists() if source.startswith(".") else source in found["volumes"], volume
    assert services["relay"]["cap_drop"] == ["ALL"]


def test_prometheus_asks_where_the_web_is() -> None:
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["relay:8080"]}]
    assert job.get("metrics_path", "/metrics") == "/metrics"
    for name in config["rule_files"]:
        assert (DOCKER / "prometheus" / name).is_file()


def test_rules_speak_of_metrics_that_exist() -> None:
    groups = yaml.safe_load((DOCKER / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["record"] for rule in rules if "record" in rule} == RECORDED
    for rule in rules:
        assert names_in(rule["expr"]), rule
        assert names_in(rule["expr"]) <= known_names(), rule
        assert rule["expr"].count("(") == rule["expr"].count(")")
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"]["summary"]


def test_the_dashboard_speaks_of_metrics_that_exist() -> None:
    board = json.loads((DOCKER / "grafana" / "dashboards" / "smsc-filter.json").read_text(encoding="utf-8"))
    (source,) = yaml.safe_load(
        (DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    )["datasources"]
    seen: set[str] = set()
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        for target in panel["targets"]:
            seen |= names_in(target["expr"])
    assert seen <= known_names()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    shown = {name for name in METRICS if any(each.startswith(name) for each in seen)}
    assert shown == METRICS.keys()
