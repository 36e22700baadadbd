"""No-op calls on Lithops' localhost backend: `N`."""

import sys
import time

import lithops


def noop(x):
    return x


if __name__ == "__main__":
    count = int(sys.argv[1])
    config = {"lithops": {"backend": "localhost", "storage": "localhost", "monitoring_interval": 0.1}}
    began = time.perf_counter()
    with lithops.FunctionExecutor(config=config, log_level="ERROR") as executor:
        values = executor.get_result(executor.map(noop, range(count)))
    took_s = time.perf_counter() - began
    assert values == list(range(count))
    from _told import tell

    tell(took_s)
