from tests.source.conftest import *
def test_i(desk):
    desk.write("lib.py", """
        from typing import TypeVar, NewType
        from types import SimpleNamespace
        import threading, logging, contextvars, re, functools
        CONFIG = SimpleNamespace(x=1)
        L = [1]
        T = TypeVar("T"); Id = NewType("Id", int)
        P = functools.partial(int, "3")
        V = contextvars.ContextVar("v")
        class K: pass
        k = K()
        LOCK = threading.Lock()
        def f(x: Id): return T, Id, CONFIG, L, P, V, k, LOCK
        """)
    m = desk.module("""
from lib import T, Id, CONFIG, L, P, V, k, LOCK
import lib
def main():
    return dict(conf=lib.CONFIG is CONFIG, l=lib.L is L, p=lib.P is P, v=lib.V is V, k=lib.k is k, t=lib.T is T, id=lib.Id is Id, lock=lib.LOCK is LOCK, f=lib.f(1)[2] is CONFIG)
""")
    print(m.main())
    print(arrived(capture(m.main))())
