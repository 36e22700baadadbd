"""IAM: whether the signer of a request may do what it asks for, by the policies that the templates make.

What is evaluated: every request signed with a person's key, by the user policy; of Fanfold's own clients with
any other key, by the operator policy, for who has deployed it; of functions and machines, by their roles; of one that
has assumed a role, by that; and what a state machine does, by its role (`refuses`). Whatever else signs with another
key is the account's own administrator, who deploys.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import unescape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.sts.models import sts_backends

from tests.cloud.faults import _operation_of, _say, _service_of
from tests.cloud.refusals import NotEmulated

#: What Fanfold's clients call themselves, with any key.
_CLIENT = "fanfold/"
#: Who signs with what: a person with the user policy, and what runs in the image.
USER_KEY, REALTIME_KEY, JOB_KEY, SHEPHERD_KEY = "AKIAUSER", "AKIAREALTIME", "AKIAJOB", "AKIASHEPHERD"
#: A person with the operator policy, and one who may do everything.
OPERATOR_KEY, ADMINISTRATOR_KEY = "AKIAOPERATOR", "AKIAADMINISTRATOR"
_ROLE_OF_KEY = {REALTIME_KEY: "RealtimeRole", JOB_KEY: "JobRole", SHEPHERD_KEY: "ShepherdRole"}
_XML = {"s3", "sts", "ec2", "iam", "monitoring", "cloudformation"}
#: Services that name their operation in a header.
_JSON = {"servicequotas", "ecr", "codebuild", "secretsmanager"}
#: Of services that name their operations in lower case, what they are called.
_BATCH = ("ListJobs", "DescribeJobs", "DescribeJobQueues", "DescribeComputeEnvironments", "TerminateJob", "SubmitJob")

Statement = Mapping[str, Any]
#: An action, and what it is done to.
Asked = tuple[str, str]


class Permissions:
    """Looks at every request while it enforces; what was asked and what was refused is remembered."""

    def __init__(self, region: str, account: str) -> None:
        self._region, self._account = region, account
        self._lock = threading.Lock()
        #: Statements by the beginning of a policy's or role's logical id; none: nothing is enforced.
        self._statements: dict[str, list[Statement]] = {}
        self._roles: dict[str, str] = {}
        self.asked: set[tuple[str, str]] = set()
        self.refused: list[tuple[str, str, str]] = []

    def install(self) -> None:
        """Stand before moto from now on."""
        passed_on: Callable[..., Iterable[bytes]] = DomainDispatcherApplication.__call__

        def answer(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            refusal = self._refusal(environ) if self._statements else None
            if refusal is None:
                return passed_on(app, environ, start_response)
            service, message = refusal
            code = "AccessDenied" if service in _XML else "AccessDeniedException"
            if service in _XML:
                body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
                return _say(start_response, "403 Forbidden", "application/xml", code, body)
            told = json.dumps({"__type": code, "message": message, "Message": message}).encode()
            return _say(start_response, "403 Forbidden", "application/x-amz-json-1.0", code, told)

        DomainDispatcherApplication.__call__ = answer

    def enforce(self, policies: dict[str, list[Statement]], roles: dict[str, str]) -> None:
        """Enforce these statements, by the policy's or role's logical id; `roles` has the logical id of each name."""
        with self._lock:
            self._statements, self._roles = policies, roles
            self.asked, self.refused = set(), []

    def refuses(self, role: str, action: str, resource: str) -> str:
        """Why a role, by its name or ARN, may not do something to a resource; nothing where it may."""
        name = role.rpartition("/")[2]
        whose = self._roles.get(name)
        if whose is None:
            return ""
        return self._judge(whose, f"arn:aws:sts::{self._account}:assumed-role/{name}/fanfold", action, resource)

    def forbid(self, whose: str, action: str) -> None:
        """Take an action out of a policy."""
        for statement in self._of(whose):
            kept = [one for one in _listed(statement["Action"]) if one != action]
            statement["Action"] = kept  # type: ignore[index]

    def _of(self, whose: str) -> list[Statement]:
        return [one for name, some in self._statements.items() if name.startswith(whose) for one in some]

    def _refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        whose, arn = self._whose(environ)
        if not whose:
            return None
        service = _service_of(environ)
        for action, resource in _asked(environ, service, self._region, self._account):
            refused = self._judge(whose, arn, action, resource)
            if refused:
                return service, refused
        return None

    def _judge(self, whose: str, arn: str, action: str, resource: str) -> str:
        allowed = self._allows(whose, action, resource)
        with self._lock:
            self.asked.add((whose, action))
            if not allowed:
                self.refused.append((whose, action, resource))
        if allowed:
            return ""
        why = f"because no identity-based policy allows the {action} action"
        return f"User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"

    def _whose(self, environ: dict[str, Any]) -> tuple[str, str]:
        """Whose policies count for a request, and how AWS calls who it is; nothing for the administrator."""
        key = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
        if key == USER_KEY:
            return "PeopleUser", f"arn:aws:iam::{self._account}:user/ada"
        if key == OPERATOR_KEY:
            return "PeopleOperator", f"arn:aws:iam::{self._account}:user/olga"
        if key == ADMINISTRATOR_KEY:
            return "", ""
        role = _ROLE_OF_KEY.get(key)
        if role is not None:
            return role, f"arn:aws:sts::{self._account}:assumed-role/{role}/fanfold"
        assumed = sts_backends[self._account]["aws"].get_assumed_role_from_access_key(key)
        if assumed is None:
            is_ours = _CLIENT in environ.get("HTTP_USER_AGENT", "")
            return ("PeopleOperator", f"arn:aws:iam::{self._account}:user/{key}") if is_ours else ("", "")
        return self._roles[assumed.role_arn.rpartition("/")[2]], assumed.arn

    def _allows(self, whose: str, action: str, resource: str) -> bool:
        return any(
            statement["Effect"] == "Allow"
            and any(fnmatchcase(action, pattern) for pattern in _listed(statement["Action"]))
            and any(fnmatchcase(resource, pattern) for pattern in _listed(statement["Resource"]))
            and _holds(statement.get("Condition", {}))
            for statement in self._of(whose)
        )


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


_MET = ("aws:ResourceTag/", "kms:EncryptionContext:", "iam:PassedToService")


def _holds(condition: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a statement's condition is met, of the few that there are: each resource here is of this account."""
    for operator, keys in condition.items():
        for name in keys:
            if operator == "StringEquals" and name.startswith(_MET):
                continue  # what is terminated here has the deployment's tags; of the others their service makes sure
            if (operator, name) == ("StringNotEquals", "s3:ResourceAccount"):
                return False
            raise NotEmulated(f"the condition {operator} {name}")
    return True


def _asked(environ: dict[str, Any], service: str, region: str, account: str) -> Iterator[Asked]:
    """What a request asks for."""
    readers = {
        "dynamodb": _of_dynamodb,
        "s3": _of_s3,
        "ssm": _of_ssm,
        "secretsmanager": _of_secrets,
        "lambda": _of_lambda,
        "states": _of_states,
        "batch": _of_batch,
        "sts": _of_sts,
        "logs": _of_logs,
        "kms": _of_kms,
        "sns": _of_sns,
        "scheduler": _of_scheduler,
    }
    return readers.get(service, _of_another(service))(environ, f"{region}:{account}")


def _of_another(service: str) -> Callable[[dict[str, Any], str], Iterator[Asked]]:
    """What is asked about the account as a whole, as `fanfold doctor` does."""

    def read(environ: dict[str, Any], here: str) -> Iterator[Asked]:
        told = parse_qs(_body(environ).decode(errors="replace")) if service not in _JSON else {}
        yield f"{service}:{told['Action'][0] if 'Action' in told else _operation_of(environ)}", "*"

    return read


def _body(environ: dict[str, Any]) -> bytes:
    """The request's body, which moto finds as it was."""
    data: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(data)
    return data


def _of_dynamodb(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    told, action = json.loads(_body(environ)), f"dynamodb:{_operation_of(environ)}"
    for table in [told["TableName"]] if "TableName" in told else told["RequestItems"]:
        index = f"/index/{told['IndexName']}" if "IndexName" in told else ""
        yield action, f"arn:aws:dynamodb:{here}:table/{table}{index}"


def _of_s3(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    bucket, _, key = unquote(str(environ["PATH_INFO"])).lstrip("/").partition("/")
    query = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    method, arn = environ["REQUEST_METHOD"], f"arn:aws:s3:::{bucket}"
    if not key and method == "POST" and "delete" in query:
        for one in re.findall(r"<Key>(.*?)</Key>", _body(environ).decode(), re.DOTALL):
            yield "s3:DeleteObject", f"{arn}/{unescape(one)}"
        return
    if not key:
        yield "s3:ListBucket", arn
        return
    if method == "DELETE":
        yield "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject", f"{arn}/{key}"
    else:
        yield "s3:GetObject" if method in ("GET", "HEAD") else "s3:PutObject", f"{arn}/{key}"
    source = unquote(str(environ.get("HTTP_X_AMZ_COPY_SOURCE", ""))).lstrip("/")
    if source:
        yield "s3:GetObject", f"arn:aws:s3:::{source}"


def _of_ssm(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    told = json.loads(_body(environ))
    name = str(told.get("Name") or told.get("Path")).lstrip("/")
    yield f"ssm:{_operation_of(environ)}", f"arn:aws:ssm:{here}:parameter/{name}"


def _of_secrets(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    """AWS ends a secret's ARN with six characters of its own; a list of names has no ARN."""
    told = json.loads(_body(environ))
    name = told.get("SecretId") or told.get("Name")
    arn = f"arn:aws:secretsmanager:{here}:secret:{name}-a1b2c3" if name else "*"
    yield f"secretsmanager:{_operation_of(environ)}", arn


def _of_lambda(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    parts = unquote(str(environ["PATH_INFO"])).strip("/").split("/")
    if parts[1] == "account-settings":
        yield "lambda:GetAccountSettings", "*"
        return
    action = {"invocations": "InvokeFunction", "configuration": "GetFunctionConfiguration"}[parts[3]]
    yield f"lambda:{action}", f"arn:aws:lambda:{here}:function:{parts[2].rpartition(':')[2]}"


def _of_states(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    told = json.loads(_body(environ))
    yield (
        f"states:{_operation_of(environ)}",
        next(told[name] for name in ("stateMachineArn", "executionArn", "mapRunArn") if name in told),
    )


def _of_batch(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    name = _operation_of(environ)
    action = next((one for one in _BATCH if one.lower() == name.lower()), name)
    resource = f"arn:aws:batch:{here}:job/{json.loads(_body(environ))['jobId']}" if action == "TerminateJob" else "*"
    yield f"batch:{action}", resource


def _of_scheduler(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    told = json.loads(_body(environ) or b"{}")
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    name = unquote(str(environ["PATH_INFO"])).strip("/").partition("/")[2]
    group = told.get("GroupName") or query.get("groupName", query.get("ScheduleGroup", ["default"]))[0]
    action = {"POST": "Create", "PUT": "Update", "DELETE": "Delete", "GET": "Get"}[environ["REQUEST_METHOD"]]
    if not name:
        yield "scheduler:ListSchedules", "*"
        return
    yield f"scheduler:{action}Schedule", f"arn:aws:scheduler:{here}:schedule/{group}/{name}"
    if "Target" in told:
        yield "iam:PassRole", told["Target"]["RoleArn"]


def _of_sts(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    told = parse_qs(_body(environ).decode())
    if told["Action"] != ["GetCallerIdentity"]:  # which nobody can be denied
        yield f"sts:{told['Action'][0]}", told["RoleArn"][0]


def _of_sns(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    told = parse_qs(_body(environ).decode())
    yield f"sns:{told['Action'][0]}", told.get("TopicArn", ["*"])[0]


def _of_kms(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    key = json.loads(_body(environ)).get("KeyId", "*")
    yield f"kms:{_operation_of(environ)}", key if key.startswith("arn:") else f"arn:aws:kms:{here}:key/{key}"


def _of_logs(environ: dict[str, Any], here: str) -> Iterator[Asked]:
    group = json.loads(_body(environ)).get("logGroupName", "*")
    yield f"logs:{_operation_of(environ)}", f"arn:aws:logs:{here}:log-group:{group}:*"
