"""The AWS engine, and how it is opened."""

from __future__ import annotations

from fanfold.engines.aws.discovery import discover
from fanfold.engines.aws.engine import AwsEngine
from fanfold.errors import ConfigurationError, MissingPackage
from fanfold.settings import Settings
from fanfold.stores.aws.account import Account

__all__ = ["AwsEngine", "open_engine"]


def open_engine(settings: Settings) -> AwsEngine:
    """The engine of the deployment that the settings name. Raises `ConfigurationError`, or `MissingPackage`."""
    if settings.deployment is None:
        raise ConfigurationError(
            "No deployment is named, so there is nowhere in AWS to run.",
            next_step="`fanfold connect NAME` names one for good; FANFOLD_DEPLOYMENT names it for now.",
        )
    _require_boto3()
    account = Account(region=settings.region, profile=settings.profile)
    return AwsEngine(account, discover(account, settings.deployment), settings.home / "scratch")


def _require_boto3() -> None:
    try:
        import boto3  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingPackage(
            "The AWS engine talks to AWS with boto3, which is not installed.", next_step="pip install 'fanfold[aws]'"
        ) from error
