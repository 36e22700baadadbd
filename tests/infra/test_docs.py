"""What the deployment's pages say is so: their tables, their commands and their dollars."""

from __future__ import annotations

import re
import subprocess

import pytest

from fanfold.contract import payloads
from fanfold.contract.instances import LIST_PRICES
from fanfold.contract.layout import REALTIME_MEMORY_MIB
from infra.settings import Settings
from infra.tables import DOCS, TABLES, filled
from tests.infra.conftest import EVERY_OPTION
from tests.infra.templates import ROOT, Templates

PAGES = ["settings.md", "deployment.md", "several-images.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_those_of_the_code(page: str) -> None:
    """Red after a change of settings or machines: run `python -m infra.tables`."""
    text = (DOCS / page).read_text()
    assert filled(text) == text


def test_what_a_name_stands_for_and_what_its_host_has_are_told_apart() -> None:
    text = (DOCS / "settings.md").read_text()
    assert "| instance type | stands for | host | host's vCPUs |" in text
    assert "| `c2-standard-30` | 30 vCPU, 120 GiB | `m5.8xlarge` | 32 |" in text


def test_every_setting_stands_in_the_settings_page_once() -> None:
    text = (DOCS / "settings.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", text.split("## More machines")[0], re.MULTILINE)
    assert rows == list(Settings.model_fields)
    texts = "".join((DOCS / page).read_text() for page in PAGES)
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in texts] == []


def test_every_setting_that_a_page_mentions_is_one() -> None:
    for page in PAGES:
        for name in re.findall(r"-c fanfold:(\w+)=", (DOCS / page).read_text()):
            assert name in Settings.model_fields


def test_every_make_target_that_a_page_mentions_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [(DOCS / page).read_text() for page in PAGES]
    named = {name for text in texts for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}
    assert named
    assert named <= targets


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        text = (DOCS / page).read_text()
        for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
            there = (DOCS / target).read_text() if target else text
            headings = {
                re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)", there, re.M)
            }
            assert not anchor or anchor in headings


#: Dollars for a GB of logs; the rest is in the list.
_LOG_GB = 0.50


def dollars_per_1000_runs(seconds: float) -> dict[str, float]:
    """The rows of the page's table, from the prices."""
    usd, children = LIST_PRICES, 1000 / payloads.RUNS_PER_CHILD
    child_gb_h = seconds / 3600 * 64 / 1024  # Express bills memory in steps of 64 MB
    return {
        "Lambda, 4 GB": 1000 * (seconds * REALTIME_MEMORY_MIB / 1024 * usd.lambda_gb_second + usd.lambda_request),
        "state machines": children * (usd.express_request + usd.standard_transition + child_gb_h * usd.express_gb_hour),
        "their logs": 1000 * 2500e-9 * _LOG_GB,
        "table, results of up to 8 KB": 1000 * 4 * usd.dynamodb_write,
        "bucket, results beyond 8 KB": 1000 * usd.s3_put,
    }


@pytest.mark.parametrize(("column", "seconds"), [(0, 1.0), (1, 30.0)])
def test_the_dollars_are_those_of_the_price_list(column: int, seconds: float) -> None:
    rows = dict(
        re.findall(r"^\| ([^|]+) \| ([\d.]+ \| [\d.]+) \|$", (DOCS / "deployment.md").read_text(), re.MULTILINE)
    )
    told = {name: float(cells.split(" | ")[column]) for name, cells in rows.items()}
    computed = dollars_per_1000_runs(seconds)
    for name, usd in computed.items():
        assert told[name] == pytest.approx(usd, abs=0.0006), name
    assert told["together, at most"] >= round(sum(computed.values()), 2)


def test_alarms_at_rest_are_as_many_as_the_page_says(templates: Templates) -> None:
    alarms = len(templates.properties("AWS::CloudWatch::Alarm"))
    assert f"alarms: {alarms}, the first 10" in (DOCS / "deployment.md").read_text()


def test_the_page_tells_how_many_of_batch_s_50_are_taken(templates: Templates, full: Templates) -> None:
    taken = len(templates.properties("AWS::Batch::JobQueue"))
    every = len(full.properties("AWS::Batch::JobQueue")) - len(EVERY_OPTION["extra_instance_types"])
    assert f"takes {taken} of each, {every} with `ultramem`" in (DOCS / "deployment.md").read_text()


def test_the_page_names_what_is_retained(templates: Templates) -> None:
    text = (DOCS / "deployment.md").read_text().split("## Remove it all")[1]
    for command in ("dynamodb delete-table", "no-deletion-protection", "s3 rb --force", "efs delete-file-system"):
        assert command in text


@pytest.mark.parametrize("target", ["synth", "deploy", "bootstrap", "destroy"])
def test_make_hands_more_arguments_to_the_cdk(target: str) -> None:
    more = "-c fanfold:deployment=trial --require-approval never"
    command = ["make", "--dry-run", "--no-print-directory", target, f"ARGS={more}"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(rf"/cdk --no-notices {target} .*{more}$", planned.stdout.splitlines()[-1])
