"""What a deployment takes of a region's quotas is counted in its template: the page and `doctor` say the same."""

from __future__ import annotations

import re

from fanfold.diagnosis.quotas import VPCS
from infra.tables import DOCS
from tests.infra.templates import Templates

#: Of each row of the page's table, the resources that it counts.
KINDS = {
    "VPCs": "AWS::EC2::VPC",
    "internet gateways": "AWS::EC2::InternetGateway",
    "gateway endpoints": "AWS::EC2::VPCEndpoint",
    "Batch job queues": "AWS::Batch::JobQueue",
    "Batch compute environments": "AWS::Batch::ComputeEnvironment",
    "CloudWatch alarms": "AWS::CloudWatch::Alarm",
    "CloudWatch dashboards": "AWS::CloudWatch::Dashboard",
    "IAM roles": "AWS::IAM::Role",
    "customer managed policies": "AWS::IAM::ManagedPolicy",
    "S3 buckets": "AWS::S3::Bucket",
}


def told() -> dict[str, int]:
    section = (DOCS / "deployment.md").read_text().split("### Quotas")[1].split("\n## ")[0]
    return {name: int(count) for name, count in re.findall(r"^\| ([\w ]+) \| (\d+) \|", section, re.MULTILINE)}


def test_the_page_counts_what_the_template_makes(templates: Templates) -> None:
    assert told() == {name: len(templates.resources(kind)) for name, kind in KINDS.items()}


def test_doctor_counts_what_the_template_makes(templates: Templates) -> None:
    assert len(templates.resources("AWS::EC2::VPC")) == VPCS.takes
