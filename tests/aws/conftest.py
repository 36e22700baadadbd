from tests.aws.cloud import account, aws, aws_stores, deployment, moto
from tests.aws.machines import machine

__all__ = ["account", "aws", "aws_stores", "deployment", "machine", "moto"]
