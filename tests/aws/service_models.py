"""botocore reads what describes a service once, not anew for each session: that takes a tenth of a second each."""

from __future__ import annotations

from collections import defaultdict

import botocore.loaders
import pytest


@pytest.fixture(scope="session", autouse=True)
def models_of_services():
    """Loaders that share what they have read."""
    known = defaultdict(dict)

    def loader(data_path=None):
        made = botocore.loaders.create_loader(data_path)
        made._cache = known[data_path]
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("botocore.session.create_loader", loader)
        yield
