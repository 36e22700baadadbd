"""Pages are built on the loop that serves all viewers: what that takes is kept small."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
from nicegui import Client, helpers, json, observables, ui
from nicegui.helpers import expects_arguments

from fanfold.workbench import interpreter, leaving
from fanfold.workbench.interpreter import remembering, taking_any_text


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
    monkeypatch.setattr(json, "dumps", json.dumps)
    monkeypatch.setattr(interpreter.sys, "setswitchinterval", lambda pause_s: None)
    monkeypatch.setattr(interpreter.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *option: 1))
    interpreter.prepare_interpreter()
    for _ in range(3):
        observables.ObservableDict(on_change=_Element().update)["a"] = 1
    assert len(asked) == 1


_LOOKED_THROUGH = """
import asyncio, gc
from fanfold.workbench import interpreter
asyncio.run(interpreter.warm_up())
most = [0]
def note(phase, info):
    if phase == "start":
        most[0] = max(most[0], sum(len(gc.get_objects(young)) for young in range(info["generation"] + 1)))
gc.callbacks.append(note)
kept, due = [[n] for n in range(30_000)], interpreter.many_objects_came()
kept += [[n] for n in range(60_000)]
print(most[0], due, interpreter.many_objects_came())
interpreter.give_memory_back(whole=True)
print(interpreter.many_objects_came())
"""


def test_no_look_for_garbage_goes_through_more_objects_than_a_viewer_would_notice():
    said = subprocess.run([sys.executable, "-c", _LOOKED_THROUGH], capture_output=True, text=True, check=True)
    most, soon, due, after = said.stdout.split()
    assert int(most) < 20_000
    assert (soon, due, after) == ("False", "True", "False")


def test_a_page_that_was_left_is_let_go_unless_somebody_is_on_it_after_all(monkeypatch):
    monkeypatch.setattr(leaving, "_ENDING_S", 0.0)

    async def kept(*, connected: bool) -> bool:
        client = Client(ui.page("/left"))
        client.tab_id = "a tab" if connected else None
        try:
            await leaving._let_go(client.id)
            return client.id in Client.instances
        finally:
            Client.instances.pop(client.id, None)

    assert asyncio.run(kept(connected=True))
    assert not asyncio.run(kept(connected=False))


def test_text_that_is_no_unicode_is_written_out_and_keeps_nothing_else_from_the_page():
    dumps = taking_any_text(json.dumps)
    sent = {"a": ["half \ud800 of it", ("x", 1.5)], "\udfff": None}
    assert json.loads(dumps(sent)) == {"a": ["half \\ud800 of it", ["x", 1.5]], "\\udfff": None}
    with pytest.raises(TypeError):
        dumps({"a": object()})
