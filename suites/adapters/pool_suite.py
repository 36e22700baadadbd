"""CPython's tests of multiprocessing's pool, with one that makes its calls by an executor."""

from __future__ import annotations

import unittest

import pools
from test import _test_multiprocessing as own


class PoolTest(own._TestPool, unittest.TestCase):
    TYPE = "processes"
    Pool = staticmethod(pools.pool_type())
    test_resource_warning = None  # it is of the pool's own garbage
