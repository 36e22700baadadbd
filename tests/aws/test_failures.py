"""What goes wrong between a client and AWS: each error of botocore says what failed, why, and what to do."""

from __future__ import annotations

import inspect
import io

import botocore.awsrequest
import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from fanfold.errors import ConfigurationError, DeploymentGone, FanfoldError, SignInNeeded, StoreError, StoreUnavailable
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.failures import explain

#: Warnings, and errors of botocore's own makers that no call raises.
NEVER_RAISED_BY_A_CALL = {
    "UnsupportedTLSVersionWarning",
    "ImminentRemovalWarning",
    "UndefinedModelAttributeError",
    "MissingServiceIdError",
}


class AnyValue(dict):
    """Whatever a message is formatted with."""

    def __missing__(self, name):
        return f"<{name}>"


def made(kind):
    """An error of botocore as it comes, without knowing what its message wants."""
    if kind is ClientError:
        return ClientError({"Error": {"Code": "Odd", "Message": "odd"}}, "Query")
    error = kind.__new__(kind)
    error.kwargs, error.args = {}, (str(kind.__doc__ or kind.__name__).splitlines()[0],)
    if issubclass(kind, botocore.exceptions.HTTPClientError):
        error.request = error.response = None  # as botocore has it
    return error


EVERY_ERROR = [
    kind
    for name, kind in vars(botocore.exceptions).items()
    if inspect.isclass(kind) and issubclass(kind, Exception) and name not in NEVER_RAISED_BY_A_CALL
]


def test_every_error_of_botocore_becomes_one_of_fanfold_s():
    for kind in EVERY_ERROR:
        told = explain(made(kind), "dynamodb", "query", "table t")
        assert isinstance(told, FanfoldError), kind
        assert told.message, kind
        assert told.next_step, kind


def test_account_call_lets_no_error_of_botocore_through(account, aws):
    coming = iter(EVERY_ERROR)

    def fail(**_):
        raise made(next(coming))

    events = account.client("dynamodb").meta.events
    events.register("before-call.dynamodb.ListTables", fail)
    try:
        for kind in EVERY_ERROR:
            try:
                account.call("dynamodb", "list_tables", on="tables")
            except FanfoldError:
                continue
            raise AssertionError(f"{kind} was not raised")
    finally:
        events.unregister("before-call.dynamodb.ListTables", fail)


class Body(io.BytesIO):
    """What botocore takes for the body of an answer."""

    def stream(self):
        return iter([self.read()])


def test_a_call_without_an_answer_is_given_up_soon_where_who_makes_it_tries_again_by_itself(account, aws):
    tries = []

    def unavailable(request, **_):
        tries.append(request.url)
        return botocore.awsrequest.AWSResponse(request.url, 503, {}, Body(b'{"__type": "ServiceUnavailable"}'))

    def ask(_=None):
        with pytest.raises(StoreUnavailable):
            account.call("dynamodb", "list_tables", on="tables")

    events = account.client("dynamodb").meta.events
    events.register("before-send.dynamodb.ListTables", unavailable)
    try:
        with account.within(60.0), account.within(0.0):
            ask()
            list(account.each(ask, range(2)))
        assert len(tries) == 3  # each once, and never again
    finally:
        events.unregister("before-send.dynamodb.ListTables", unavailable)
    account.call("dynamodb", "list_tables", on="tables")


BROKEN = [
    botocore.exceptions.ConnectionClosedError(endpoint_url="https://x", error="reset"),
    botocore.exceptions.ReadTimeoutError(endpoint_url="https://x", error="slow"),
    botocore.exceptions.HTTPClientError(error="odd"),
    botocore.exceptions.ResponseStreamingError(error="broke off"),
    botocore.exceptions.EndpointConnectionError(endpoint_url="https://x", error="no route"),
    botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_connection_that_breaks_is_waited_out(error):
    told = explain(error, "dynamodb", "query", "table t")
    assert type(told) is StoreUnavailable
    assert "dynamodb:Query on table t" in told.message


def refused(code, message, status=400, headers=None):
    answer = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": answer}, "Query")


NOT_AUTHORIZED = "User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:Query on resource: arn:t "


@pytest.mark.parametrize(
    ("words", "who", "next_step"),
    [
        ("with an explicit deny in a service control policy", "service control policy", "AWS organization"),
        ("with an explicit deny in a resource control policy", "resource control policy", "AWS organization"),
        ("because no permissions boundary allows the dynamodb:Query action", "permissions boundary", "boundary"),
        ("because no session policy allows the dynamodb:Query action", "session policy", "session policy"),
        ("because no VPC endpoint policy allows the dynamodb:Query action", "VPC endpoint", "endpoint's policy"),
        ("with an explicit deny in a resource-based policy", "resource itself", "bucket policy"),
        ("because no identity-based policy allows the dynamodb:Query action", "may not do", "UserPolicy"),
    ],
)
def test_a_refusal_says_which_policy_refuses_and_keeps_aws_s_words(words, who, next_step):
    told = explain(refused("AccessDeniedException", NOT_AUTHORIZED + words), "dynamodb", "query", "table t")
    assert type(told) is ConfigurationError
    assert who in told.message
    assert words in told.message
    assert next_step in told.next_step


def test_a_refused_key_names_its_owner_as_the_one_to_ask():
    said = "User: u is not authorized to perform: kms:Decrypt on resource: arn:key because no resource policy allows it"
    told = explain(refused("AccessDenied", said), "s3", "get_object", "results/a in bucket b")
    assert "kms:Decrypt on arn:key" in told.message
    assert "KMS key" in told.next_step


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"),
        ("InvalidSignatureException", "Signature not yet current: 20260101T001000Z is still later than"),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    ],
)
def test_a_wrong_clock_is_named_and_not_the_keys(code, said):
    told = explain(refused(code, said, headers={"date": "Sat, 28 Nov 2026 12:00:00 GMT"}), "s3", "get_object", "x")
    assert "clock of this machine is wrong" in told.message
    assert "12:00:00 GMT" in told.message


@pytest.mark.parametrize(
    "error",
    [
        refused("403", "<!DOCTYPE html><html><body>Blocked by the company</body></html>", 403),
        ResponseParserError("Unable to parse response: invalid XML received: b'<html><head>Sign in</head>'"),
    ],
)
def test_a_page_of_a_proxy_or_of_another_address_is_named_and_not_printed(error, monkeypatch):
    told = explain(error, "s3", "get_object", "results/a in bucket b")
    assert type(told) is StoreUnavailable
    assert "web page came back" in told.message
    assert "a proxy or a sign-in page" in told.message
    assert "<" not in str(told)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4566")
    told = explain(error, "s3", "get_object", "results/a in bucket b")
    assert "what AWS_ENDPOINT_URL_S3 names, http://127.0.0.1:4566, does not know this call" in told.message
    assert told.next_step.startswith("check that address, or unset AWS_ENDPOINT_URL_S3")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ClientException", "Too Many Requests"),
        ("ThrottlingException", "Rate exceeded"),
        ("KMS.ThrottlingException", "You have exceeded the rate"),
        ("BandwidthLimitExceeded", ""),
        ("RequestTimeout", "Your socket connection to the server was not read from within the timeout period."),
        ("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header."),
        ("ConditionalRequestConflict", "A conflicting operation occurred."),
        ("TransactionConflictException", "Transaction is ongoing for the item"),
        ("InternalServerException", "odd"),
        ("ServiceUnavailableException", "odd"),
        ("IDPCommunicationError", "could not reach the identity provider"),
        ("KMSInternalException", "odd"),
    ],
)
def test_what_passes_by_itself_is_waited_out_whatever_its_status(code, message):
    assert type(explain(refused(code, message), "batch", "submit_job", "queue q")) is StoreUnavailable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidToken", SignInNeeded),
        ("MissingAuthenticationToken", SignInNeeded),
        ("InvalidIdentityToken", SignInNeeded),
        ("KMS.AccessDeniedException", ConfigurationError),
        ("UnauthorizedException", ConfigurationError),
        ("ForbiddenException", ConfigurationError),
        ("StateMachineDeleting", DeploymentGone),
    ],
)
def test_a_refusal_under_another_name_is_told_as_one(code, kind):
    assert type(explain(refused(code, "no"), "s3", "get_object", "x")) is kind


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_of_aws_itself_is_waited_out(status):
    assert type(explain(refused("InternalError", "sorry", status), "s3", "put_object", "x")) is StoreUnavailable
    assert type(explain(refused("ValidationException", "odd", 400), "s3", "put_object", "x")) is StoreError


def credentials(path, key):
    path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")


def only_accepting(key):
    """Refuses calls that were signed with any other key."""

    def check(request, **_):
        if key not in request.headers.get("Authorization", b"").decode():
            raise refused("ExpiredTokenException", "The security token included in the request is expired")

    return check


@pytest.fixture
def signed_in(aws, monkeypatch, tmp_path):
    """Keys in a file, as another program renews them."""
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return path


def call(account):
    return account.call("dynamodb", "list_tables", on="tables")["TableNames"]


def test_signing_in_again_works_within_the_process(signed_in, monkeypatch):
    credentials(signed_in, "OLDKEY")
    account = Account()
    call(account)
    make = Account._new_client

    def watched(self, service):
        client = make(self, service)
        client.meta.events.register("before-send", only_accepting("NEWKEY"))
        return client

    account.client("dynamodb").meta.events.register("before-send", only_accepting("NEWKEY"))
    monkeypatch.setattr(Account, "_new_client", watched)
    with pytest.raises(SignInNeeded, match="have expired"):
        call(account)
    credentials(signed_in, "NEWKEY")
    call(account)


def test_credentials_in_the_environment_are_taken_up_as_well(signed_in, monkeypatch):
    account = Account()
    with pytest.raises(SignInNeeded, match="no AWS credentials"):
        call(account)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NEWKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    call(account)


EXPIRED = '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "2001-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("credential_process = /no/such/program", "No such file"),
        ("credential_process = echo hello", "JSONDecodeError"),
        ("credential_process = echo '[]'", "AttributeError"),
        (f"credential_process = echo '{EXPIRED}'", "still expired"),
        ("web_identity_token_file = /no/such/token\nrole_arn = arn:aws:iam::123456789012:role/x", "No such file"),
    ],
)
def test_whatever_the_way_to_credentials_runs_into_asks_for_a_sign_in(signed_in, tmp_path, monkeypatch, config, said):
    (tmp_path / "config").write_text(f"[default]\n{config}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    account = Account()
    with pytest.raises(SignInNeeded, match=said):
        call(account)
    credentials(signed_in, "NEWKEY")  # and no new process is needed
    (tmp_path / "config").write_text("")
    call(account)


def test_credentials_that_cannot_be_renewed_in_the_middle_of_a_job_ask_for_a_sign_in(signed_in, tmp_path, monkeypatch):
    """As on a laptop that was asleep: the program that gives keys gives those that it had."""
    later = '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "2100-01-01T00:00:00Z"}'
    (tmp_path / "keys").write_text(later)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path}/keys\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    account = Account()
    call(account)
    (tmp_path / "keys").write_text(EXPIRED)
    monkeypatch.setattr("botocore.credentials.RefreshableCredentials.refresh_needed", lambda *_, **__: True)
    with pytest.raises(SignInNeeded, match="still expired"):
        call(account)


def test_keys_with_a_line_break_are_named_and_their_signature_is_not_printed(signed_in, monkeypatch):
    monkeypatch.setattr("fanfold.stores.aws.account._ATTEMPTS", 1)  # botocore tries such a call again, to no avail
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(SignInNeeded, match="line break") as caught:
        call(Account())
    assert "Signature" not in str(caught.value)


def test_an_address_that_is_none_is_told_as_configuration(signed_in, monkeypatch):
    credentials(signed_in, "KEY")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "localhost:99")
    with pytest.raises(ConfigurationError, match="Invalid endpoint: localhost:99"):
        call(Account())
