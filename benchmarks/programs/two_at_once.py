"""A program twice at once beside four busy loops: `PROGRAM ARGUMENT...`; seconds until both have ended."""

import subprocess
import sys
import time

loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
try:
    began = time.perf_counter()
    both = [subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL) for _ in range(2)]
    failed = [one for one in both if one.wait()]
    took_s = time.perf_counter() - began
finally:
    for loop in loops:
        loop.kill()
assert not failed

from _told import tell  # noqa: E402

tell(took_s)
