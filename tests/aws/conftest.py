from tests.aws.an_engine import engine, fresh, in_process
from tests.aws.cloud import account, aws, aws_stores, deployment, moto
from tests.aws.machines import machine

__all__ = ["account", "aws", "aws_stores", "deployment", "engine", "fresh", "in_process", "machine", "moto"]
