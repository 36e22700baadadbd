from tests.cloud.fixtures import cloud, cloud_account, on_cloud

__all__ = ["cloud", "cloud_account", "on_cloud"]
