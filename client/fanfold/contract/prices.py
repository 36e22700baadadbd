"""What AWS charges: the one dated table that plans, costs, the dashboard and the docs are made from."""

from collections.abc import Mapping
from typing import NamedTuple


class Prices(NamedTuple):
    """Dollars of one region, as of a month.

    Lambda by the GB-second of either architecture and by the request; Step Functions by the Express request and its
    GB-hour, and by the Standard transition; DynamoDB by the write of 1 KB and the read of 4 KB; S3 by the request;
    machines by the hour and host.
    """

    as_of: str
    region: str
    lambda_gb_second: float
    lambda_gb_second_arm64: float
    lambda_request: float
    express_request: float
    express_gb_hour: float
    standard_transition: float
    dynamodb_write: float
    dynamodb_read: float
    s3_put: float
    s3_get: float
    per_hour: Mapping[str, float]
    spot_per_hour: Mapping[str, float]

    def machine(self, host: str, *, spot: bool = False, on_demand: float = 0.0) -> float:
        """What an hour of a host costs; of one that the table does not have, what `on_demand` says."""
        if spot:
            return self.spot_per_hour.get(host) or round(self.per_hour.get(host, on_demand) * SPOT_SHARE, 4)
        return self.per_hour.get(host, on_demand)


#: aws.amazon.com/ec2/pricing/on-demand, Linux.
_PER_HOUR = {
    "c5.large": 0.085,
    "m5.large": 0.096,
    "m5.xlarge": 0.192,
    "m5.2xlarge": 0.384,
    "m5.4xlarge": 0.768,
    "m5.8xlarge": 1.536,
    "m5.12xlarge": 2.304,
    "m5.16xlarge": 3.072,
    "r5.large": 0.126,
    "r5.xlarge": 0.252,
    "r5.2xlarge": 0.504,
    "r5.4xlarge": 1.008,
    "r5.8xlarge": 2.016,
    "r5.12xlarge": 3.024,
    "r5.16xlarge": 4.032,
    "x2idn.16xlarge": 6.669,
    "x2idn.32xlarge": 13.338,
}
#: Spot prices change by the hour, mostly between 30 and 45% of on demand: the upper end, so that a plan does not
#: promise too much.
SPOT_SHARE = 0.45

#: aws.amazon.com/lambda/pricing, /step-functions/pricing, /dynamodb/pricing/on-demand, /s3/pricing.
LIST_PRICES = Prices(
    as_of="2026-10",
    region="us-east-1",
    lambda_gb_second=0.0000166667,
    lambda_gb_second_arm64=0.0000133334,
    lambda_request=0.20e-6,
    express_request=1.00e-6,
    express_gb_hour=0.06,
    standard_transition=25.0e-6,
    dynamodb_write=0.625e-6,
    dynamodb_read=0.125e-6,
    s3_put=5.0e-6,
    s3_get=0.40e-6,
    per_hour=_PER_HOUR,
    spot_per_hour={host: round(usd * SPOT_SHARE, 4) for host, usd in _PER_HOUR.items()},
)
