"""A coding agent in the cloud: tasks solved by what the skill teaches, and the tools that only read."""

from __future__ import annotations

import sys

import pytest

import fanfold
from tests.cloud.skill_tasks import FILE, TASKS, scaled

pytestmark = pytest.mark.usefixtures("on_cloud")
#: Tried with each `make test`; the others by `make test-all`.
SHORT = ("find_out_why_it_failed_and_leave_it_out", "large_results_as_files", "a_second_stage")


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, marks=[] if task.__name__ in SHORT else [pytest.mark.long], id=task.__name__)
        for task in TASKS
    ],
)
def test_a_task_is_solved_by_what_the_skill_teaches(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task()


@pytest.mark.long
def test_an_agent_reads_jobs_and_changes_none(tmp_path):
    import asyncio

    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    job = fanfold.submit(scaled, [1, -1], collect=False).wait()
    (tmp_path / "squared.py").write_text("def squared(x: int):\n    return x * x\n")
    udf = f"{tmp_path / 'squared.py'}:squared"

    async def ask(*calls):
        import os

        command = StdioServerParameters(command=sys.executable, args=["-m", "fanfold", "mcp"], env=dict(os.environ))
        async with stdio_client(command) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    calls = [("jobs", {"limit": 1}), ("status", {"job": "-"}), ("errors", {"job": job.id}), ("logs", {"job": job.id})]
    (tmp_path / "known.py").write_text(FILE)
    known = f"{tmp_path / 'known.py'}:scaled"
    calls += [("plan", {"udf": known, "inputs": [1, 2]}), ("plan", {"udf": udf, "inputs": [1, 2]})]
    calls += [("explain", {"udf": udf}), ("status", {"job": "none"})]
    tools, answers = asyncio.run(ask(*calls))
    assert {tool.name for tool in tools} == {"jobs", "status", "errors", "logs", "plan", "explain"}
    assert all(tool.annotations.read_only_hint for tool in tools)
    said = [" ".join(part.text for part in answer.content) for answer in answers]
    words = (
        job.id,
        '"Failed"',
        "ValueError: negative",
        "scaling 1",
        '"realtime"',
        "No run of squared is known",
        '"squared"',
        "There is no job 'none'",
    )
    for text, word in zip(said, words, strict=True):
        assert word in text
    assert [one.id for one in fanfold.get_jobs()] == [job.id]
