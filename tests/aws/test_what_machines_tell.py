"""What a dedicated machine tells of itself and its runs, and what it keeps from them and from its log."""

from __future__ import annotations

import json
import os
import signal

from fanfold.contract import cloud as contract
from fanfold.core.models import EventKind, RunStatus
from fanfold.job.results import Contents
from tests.aws.cloud import ENVIRONMENT
from tests.aws.machines import put_work, state_of
from tests.stores.event_log_contract import read_all


def test_it_tells_the_load_of_its_runs_with_disk_and_network(machine, aws_stores):
    def busy():
        import time

        end = time.monotonic() + 6
        while time.monotonic() < end:
            sum(range(1000))

    header = put_work(aws_stores, busy, [{}])
    assert machine(header).wait(60) == 0
    telemetry = read_all(aws_stores.log, header.id, "telemetry")
    usage, *_ = [event for event in telemetry if event.kind is EventKind.USAGE]
    measured = {"cpu_percent", "memory_mib", "disk_free_mib", "network_in_mib", "network_out_mib"}
    assert set(usage.data) == measured | {"machine"}
    assert usage.data["machine"].endswith(".1")
    assert usage.data["cpu_percent"] > 1  # of a machine that others use as well


def test_output_names_no_arguments_and_no_variables(machine, aws_stores, tmp_path):
    def whisper(word: str):
        return word

    header = put_work(aws_stores, whisper, ["a-secret-argument"])
    assert machine(header).wait(60) == 0
    text = (tmp_path / "machine0" / "log").read_text()
    assert "a-secret-argument" not in text
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in text


def test_udfs_get_the_data_roles_credentials_for_as_long_as_they_run(machine, aws_stores):
    def whose():
        import os

        import botocore.session

        credentials = botocore.session.get_session().get_credentials()
        return credentials.method, credentials.access_key, "AWS_ACCESS_KEY_ID" in os.environ

    header = put_work(aws_stores, whose, [{}])
    role = {contract.ENV_DATA_ROLE: "arn:aws:iam::123456789012:role/data"}
    assert machine(header, **role).wait(60) == 0
    state = state_of(aws_stores, header)
    method, key, has_variable = Contents(header, aws_stores).value(0, state.output(0))
    assert (method, has_variable) == ("container-role", False)
    assert key not in ("", "testing")


def metrics_of(log):
    """Every value that a machine has told, by the metric's name."""
    found = {}
    for line in (json.loads(text) for text in log.read_text().splitlines() if '"_aws"' in text):
        [directive] = line["_aws"]["CloudWatchMetrics"]
        for name in (metric["Name"] for metric in directive["Metrics"]):
            found.setdefault(name, []).extend(line[name])
    return found


def test_it_tells_metrics_of_its_runs_and_what_it_costs(machine, aws_stores, tmp_path):
    def half(n: int):
        return 1 / n

    header = put_work(aws_stores, half, [1, 0, 2])
    assert machine(header, FANFOLD_USD_PER_HOUR="3600").wait(60) == 0
    told = metrics_of(tmp_path / "machine0" / "log")
    assert (sum(told[contract.METRIC_RUNS]), sum(told[contract.METRIC_FAILED])) == (3, 1)
    assert len(told[contract.METRIC_WAIT_S]) == 3
    [dollars] = told[contract.METRIC_MACHINE_USD]
    assert dollars > 0


def test_a_machine_that_is_told_to_stop_tells_what_it_has_cost_too(machine, aws_stores, eventually, tmp_path):
    def endless(n: int):
        import time

        time.sleep(1000)

    header = put_work(aws_stores, endless, [1])
    process = machine(header, FANFOLD_USD_PER_HOUR="3600")
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == contract.EXIT_GIVEN_BACK
    assert sum(metrics_of(tmp_path / "machine0" / "log")[contract.METRIC_MACHINE_USD]) > 0


#: In the image nobody is root; root may look anywhere as long as it has its capabilities.
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all") if os.geteuid() == 0 else ()


def test_a_run_cannot_read_the_variables_or_the_memory_of_the_process_that_started_it(machine, aws_stores):
    def look():
        import os

        import psutil

        found, starter = {}, psutil.Process(os.getppid()).ppid()
        for name in ("environ", "mem"):
            try:
                with open(f"/proc/{starter}/{name}", "rb"):
                    found[name] = "open"
            except OSError as error:
                found[name] = type(error).__name__
        return found

    header = put_work(aws_stores, look, [{}])
    assert machine(header, within=WITHOUT_PRIVILEGES).wait(60) == 0
    output = state_of(aws_stores, header).output(0)
    assert Contents(header, aws_stores).value(0, output) == {"environ": "PermissionError", "mem": "PermissionError"}
