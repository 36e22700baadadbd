"""The contracts of the stores, on the second emulator's DynamoDB and S3.

Not named as tests are: `make second-cloud` runs these.
"""

from __future__ import annotations

import pytest

from tests.stores.test_aws_contracts import TestAwsEventLog, TestAwsObjectStore, TestAwsResultCache

__all__ = ["TestAwsEventLog", "TestAwsObjectStore", "TestAwsResultCache"]

pytestmark = pytest.mark.usefixtures("on_second")
