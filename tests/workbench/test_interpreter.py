"""Pages are built on the loop that serves all viewers: what that takes is kept small."""

from __future__ import annotations

from types import SimpleNamespace

from nicegui import helpers, observables
from nicegui.helpers import expects_arguments

from fanfold.workbench import interpreter
from fanfold.workbench.interpreter import remembering


class _Element:
    def update(self):
        pass

    def update_by(self, event):
        pass


def test_the_signature_of_a_method_is_read_once_however_many_elements_have_it():
    asked = []
    remembered = remembering(lambda func: asked.append(func) or expects_arguments(func))
    assert [remembered(_Element().update) for _ in range(3)] == [False] * 3
    assert [remembered(_Element().update_by) for _ in range(3)] == [True] * 3
    assert len(asked) == 2


def test_functions_that_look_alike_are_each_asked_for_their_own_signature():
    remembered = remembering(expects_arguments)
    made = [(lambda event=default: event) if has else (lambda event: event) for has, default in ((1, 0), (0, 0))]
    assert [remembered(one) for one in made] == [False, True]


def test_nicegui_asks_what_the_pages_process_puts_in_its_place(monkeypatch):
    asked = []
    monkeypatch.setattr(helpers, "expects_arguments", lambda func: asked.append(func) or expects_arguments(func))
    monkeypatch.setattr(interpreter.sys, "setswitchinterval", lambda pause_s: None)
    monkeypatch.setattr(interpreter.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *option: 1))
    interpreter.prepare_interpreter()
    for _ in range(3):
        observables.ObservableDict(on_change=_Element().update)["a"] = 1
    assert len(asked) == 1
