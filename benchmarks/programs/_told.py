"""What a program says of itself, as its last line."""

import json
import resource
import sys


def tell(seconds: float, **more: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mib": peak / (1024 if sys.platform == "linux" else 2**20), **more}))
