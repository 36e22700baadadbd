"""Under which names Step Functions and Batch tell of what went wrong: from the field, not from the code under test."""

from __future__ import annotations

from collections.abc import Mapping

#: A throttled SubmitJob, by where it was seen under that name.
SUBMIT_THROTTLES: Mapping[str, str] = {
    "Batch.BatchException": "https://docs.aws.amazon.com/step-functions/latest/dg/connect-batch.html",
    "Batch.AWSBatchException": "https://github.com/ASFHyP3/hyp3/issues/911",
    "Batch.TooManyRequestsException": "https://github.com/chanzuckerberg/single-cell-data-portal/pull/7087",
    "Batch.ClientException": "https://github.com/ASFHyP3/hyp3/issues/1676",
}
#: What its message says then.
THROTTLE_MESSAGE = "Too Many Requests (Service: AWSBatch; Status Code: 429; Error Code: TooManyRequestsException)"

#: What Lambda says of a function that nobody called for weeks, while it gets ready again
#: (https://github.com/aws/aws-cdk/issues/20123, https://github.com/boto/boto3/issues/3788).
INACTIVE = "CodeArtifactUserPendingException"
INACTIVE_MESSAGE = "Lambda is initializing your function. It will be ready to invoke shortly."
INACTIVE_STATUS = 409
