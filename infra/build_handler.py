"""Start a build of the image, wait for its end, and tell CloudFormation. Deployed as text: it may import boto3 alone.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import json
import time
import urllib.request
from typing import Any

import boto3

#: What is left of the function's 15 minutes when it gives up, to say so.
SPARE_MS = 20_000
POLL_S = 10


def handler(event: dict[str, Any], context: Any) -> None:
    """Build what the properties name on a create or an update; a delete leaves nothing to undo."""
    tag = event["ResourceProperties"]["Tag"]
    try:
        reason = "" if event["RequestType"] == "Delete" else build(event["ResourceProperties"], context)
    except Exception as error:  # else CloudFormation waits for an hour
        reason = f"{type(error).__name__}: {error}"
    answer = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason or "built",
        "PhysicalResourceId": tag,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    body = json.dumps(answer).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""})
    urllib.request.urlopen(request, timeout=30).close()


def build(properties: dict[str, str], context: Any) -> str:
    """Why the image could not be built; nothing where it was."""
    codebuild = boto3.client("codebuild")
    tag = {"name": "TAG", "value": properties["Tag"]}
    found = codebuild.start_build(projectName=properties["Project"], environmentVariablesOverride=[tag])["build"]
    while found["buildStatus"] == "IN_PROGRESS":
        if context.get_remaining_time_in_millis() < SPARE_MS:
            return f"the image is still being built after 15 minutes, see {found['logs'].get('deepLink', found['id'])}"
        time.sleep(POLL_S)
        (found,) = codebuild.batch_get_builds(ids=[found["id"]])["builds"]
    if found["buildStatus"] == "SUCCEEDED":
        return ""
    return f"the build of the image ended as {found['buildStatus']}, see {found['logs'].get('deepLink', found['id'])}"
