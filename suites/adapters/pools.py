"""A pool as multiprocessing has one, of an executor: for suites that ask for such a pool."""

from __future__ import annotations

import concurrent.futures as cf
import itertools
import multiprocessing
import os
import queue
import threading

import elsewhere


def pool_type():
    """The class of pools that a suite is given."""
    if elsewhere.ENGINE == "fanfold":
        return Pool
    return multiprocessing.get_context("spawn").Pool


def _chunk(function, items):
    return [function(*item) for item in items]


class Pool:
    """The calls of multiprocessing's pool, each as calls of an executor."""

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, **_):
        import fanfold

        settings = {"initializer": initializer, "initargs": initargs, "max_tasks_per_child": maxtasksperchild}
        self._executor = fanfold.Executor(processes, **settings)
        self._pool = [None] * (processes or os.cpu_count())
        self._is_open = True

    def apply(self, function, args=(), kwds=None):
        return self.apply_async(function, args, kwds).get()

    def apply_async(self, function, args=(), kwds=None, callback=None, error_callback=None):
        return _Result(self._submitted(function, *args, **(kwds or {})), callback, error_callback)

    def map(self, function, iterable, chunksize=None):
        return self.map_async(function, iterable, chunksize).get()

    def map_async(self, function, iterable, chunksize=None, callback=None, error_callback=None):
        return self.starmap_async(function, [(item,) for item in iterable], chunksize, callback, error_callback)

    def starmap(self, function, iterable, chunksize=None):
        return self.starmap_async(function, iterable, chunksize).get()

    def starmap_async(self, function, iterable, chunksize=None, callback=None, error_callback=None):
        items = list(iterable)
        size = chunksize or max(1, len(items) // (4 * len(self._pool)))
        chunks = [self._submitted(_chunk, function, items[at : at + size]) for at in range(0, len(items), size)]
        return _Result(_gathered(chunks), callback, error_callback)

    def imap(self, function, iterable, chunksize=1):
        return itertools.chain.from_iterable(each.result() for each in self._chunks(function, iterable, chunksize))

    def imap_unordered(self, function, iterable, chunksize=1):
        done = queue.SimpleQueue()
        count = 0
        for count, each in enumerate(self._chunks(function, iterable, chunksize), 1):
            each.add_done_callback(done.put)
        return itertools.chain.from_iterable(done.get().result() for _ in range(count))

    def _chunks(self, function, iterable, size):
        """The futures of all chunks; what the iterable raises is the last one's."""
        chunks, items = [], []
        try:
            for item in iterable:
                items.append((item,))
                if len(items) == size:
                    chunks.append(self._submitted(_chunk, function, items))
                    items = []
            if items:
                chunks.append(self._submitted(_chunk, function, items))
        except Exception as error:
            chunks.append(cf.Future())
            chunks[-1].set_exception(error)
        return chunks

    def _submitted(self, function, *args, **kwds):
        if not self._is_open:
            raise ValueError("Pool not running")
        return self._executor.submit(function, *args, **kwds)

    def close(self):
        self._is_open = False
        self._executor.shutdown(wait=False)

    def terminate(self):
        self._is_open = False
        self._executor.kill_workers()

    def join(self):
        if self._is_open:
            raise ValueError("Pool is still running")
        self._executor.shutdown(wait=True)

    def __enter__(self):
        if not self._is_open:
            raise ValueError("Pool not running")
        return self

    def __exit__(self, *_):
        self.terminate()


def _gathered(chunks):
    """A future of all chunks' results, in their order, or of the first error of them, once all are over."""
    whole, lock, left = cf.Future(), threading.Lock(), [len(chunks)]

    def note(_=None):
        with lock:
            left[0] -= _ is not None
            if left[0] or whole.done():
                return
        errors = [error for each in chunks if (error := each.exception())]
        if errors:
            whole.set_exception(errors[0])
        else:
            whole.set_result([item for each in chunks for item in each.result()])

    for each in chunks:
        each.add_done_callback(note)
    if not chunks:
        note()
    return whole


class _Result:
    """multiprocessing's result of a call, of a future."""

    def __init__(self, future, callback, error_callback):
        self._future, self._called = future, threading.Event()
        future.add_done_callback(lambda _: self._call(callback, error_callback))

    def _call(self, callback, error_callback):
        error = self._future.exception()
        chosen = callback if error is None else error_callback
        if chosen is not None:
            chosen(self._future.result() if error is None else error)
        self._called.set()

    def get(self, timeout=None):
        try:
            return self._future.result(timeout)
        except cf.TimeoutError:
            if self._future.done():
                raise
            raise multiprocessing.TimeoutError from None

    def wait(self, timeout=None):
        self._called.wait(timeout)

    def ready(self):
        return self._future.done()

    def successful(self):
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._future.exception() is None
