from tests.aws.cloud import account, aws, aws_stores, deployment, moto

__all__ = ["account", "aws", "aws_stores", "deployment", "moto"]
