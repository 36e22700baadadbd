"""Shared memory as it is in AWS: none in Lambda, half of its memory on a machine."""

from __future__ import annotations

import fanfold
from tests.cloud.containers import may_contain


@fanfold.udf
def pooled(x: int):
    from multiprocessing import Pool

    with Pool(2) as pool:
        return sum(pool.map(abs, range(x)))


@fanfold.udf
def piped(x: int):
    from multiprocessing import Pipe, Process

    here, there = Pipe()
    child = Process(target=there.send, args=(x,))
    child.start()
    child.join()
    return here.recv()


@fanfold.udf
def shared(mib: int):
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(create=True, size=mib << 20)
    try:
        memory.buf[:] = bytes(len(memory.buf))
        return mib
    finally:
        memory.close()
        memory.unlink()


def test_in_lambda_processes_share_none_and_the_error_says_what_works_instead(on_cloud):
    job = fanfold.submit(pooled, [5], collect=False, max_retry=0).wait()
    assert fanfold.submit(piped, [5], collect=False).wait().results() == [5]
    if not may_contain():
        assert job.results() == [10]  # this machine has it, and nothing can take it away
        return
    error = job.errors()[0]
    assert "there is no /dev/shm here, as always in AWS Lambda" in str(error)
    assert "threads" in error.next_step


def test_a_machine_has_half_of_its_memory_of_it(on_cloud):
    job = fanfold.submit(shared, [200], instance_type="small", collect=False).wait()
    assert job.results() == [200]
