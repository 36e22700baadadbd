"""The MCP server takes what its tools have, and says so where an agent asks for something else."""

from __future__ import annotations

import asyncio
import sys

import pytest

from fanfold.cli.commands.agents import server

pytestmark = [pytest.mark.skipif(sys.version_info < (3, 11), reason="mcp has no version for Python 3.10")]


def ask(tool, **arguments):
    return asyncio.run(server().call_tool(tool, arguments))


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("jobs", {"status": "Failed", "limit": 3}, "jobs has no argument 'status'"),
        ("jobs", {"Limit": 3}, "jobs has no argument 'Limit'"),
        ("logs", {"job": "-", "runs": 1, "tail": 9}, "logs has no arguments 'runs', 'tail'"),
    ],
)
def test_an_argument_that_a_tool_does_not_have_is_refused_by_name(home, tool, arguments, told):
    from mcp.server.mcpserver.exceptions import ToolError

    with pytest.raises(ToolError) as refused:
        ask(tool, **arguments)
    assert told in str(refused.value)
    assert "it takes " in str(refused.value)


def test_what_a_tool_has_is_taken(home):
    assert not ask("jobs", limit=3, tags={"project": "x"}, engine="local").is_error
