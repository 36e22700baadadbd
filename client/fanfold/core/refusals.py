"""Which kind of policy refused a call to AWS, as AWS words it, and whom to ask for what.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

from fanfold.contract.records import NamedTuple


class Refusal(NamedTuple):
    """`words` of AWS's message by which it is known, who refuses, and what helps."""

    words: str
    who: str
    next_step: str


_ASK_THE_ORGANIZATION = (
    "ask who runs the AWS organization to allow it for this account: no policy within the account can."
)
_REFUSALS = (
    Refusal("service control policy", "a service control policy of the organization refuses it", _ASK_THE_ORGANIZATION),
    Refusal(
        "resource control policy", "a resource control policy of the organization refuses it", _ASK_THE_ORGANIZATION
    ),
    Refusal(
        "permissions boundary",
        "the permissions boundary of the identity in use refuses it",
        "ask who set the boundary to add the action to it; the user policy alone is not enough.",
    ),
    Refusal(
        "session policy",
        "the session policy of the credentials in use refuses it",
        "sign in without that session policy, or have the action added to it.",
    ),
    Refusal(
        "VPC endpoint policy",
        "the policy of the VPC endpoint on the way refuses it",
        "have the endpoint's policy allow the deployment's table, bucket, functions and state machines.",
    ),
    Refusal(
        "resource-based policy",
        "a policy of the resource itself refuses it",
        "look at the policy of the resource (a bucket policy, for example): it denies this identity.",
    ),
    Refusal(
        "kms:",
        "the key that the data is encrypted with may not be used",
        "ask the owner of the KMS key to allow this identity to use it, in the key's policy.",
    ),
)


def refusal_in(message: str) -> Refusal | None:
    """The kind of policy that a message of AWS names, if it names one; the first that fits counts."""
    said = message.lower()
    return next((one for one in _REFUSALS if one.words.lower() in said), None)
