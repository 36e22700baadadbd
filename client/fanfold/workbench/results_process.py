"""The process that reads results for the page: tables, shapes, looks at values, files, comparisons.

To read results takes pandas, pyarrow and what the results weigh. In the process that serves the pages that would stay
for ever.
"""

from __future__ import annotations

from fanfold.workbench.asked_process import AskedProcess

#: It is ended when nobody has asked for this long.
_IDLE_S = 120.0
_GONE = (
    "What reads results for the page has ended (exit code {code}), as it does where memory runs out.",
    "read fewer of them: `fanfold.get_job(...).collect(to=...)` writes them in parts.",
)


class ResultsProcess(AskedProcess):
    """What `results_child` does, asked for by its name and with its arguments."""

    def __init__(self, idle_s: float = _IDLE_S) -> None:
        super().__init__("fanfold.workbench.results_child", idle_s=idle_s, gone=_GONE)
