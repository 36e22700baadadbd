"""What a run prints, by whatever means, is its own and is heard while it runs."""

from __future__ import annotations

from fanfold.contract.layout import LOG_LIMIT_BYTES
from fanfold.core.models import EventKind, RunStatus
from fanfold.execution.pool.process import LogTail


def test_print_logging_c_code_and_child_processes_are_all_heard(work):
    def speak():
        import ctypes
        import logging
        import os
        import subprocess
        import sys

        print("by print")
        print("to stderr", file=sys.stderr)
        os.write(1, b"by write\n")
        ctypes.CDLL(None).puts(b"by C")
        subprocess.run(["echo", "by a child"], check=True)
        logging.warning("by logging")

    (told,) = work(speak)
    assert told.status is RunStatus.SUCCEEDED
    for text in ("by print", "to stderr", "by write", "by C", "by a child", "WARNING:root:by logging"):
        assert text in told.printed


def test_each_run_hears_only_itself(work):
    def speak(name: str):
        print(f"{name} " * 3)

    told = work(speak, [{"name": name} for name in "abc"] * 20, workers=2)
    assert [one.printed for one in told] == [f"{name} {name} {name} \n" for name in "abc"] * 20


def test_a_silent_run_between_two_that_print_has_no_output(work):
    def perhaps(text: str):
        if text:
            print(text, end="")

    assert [told.printed for told in work(perhaps, [{"text": t} for t in ("one", "", "two")])] == ["one", "", "two"]


def test_output_streams_while_the_run_goes_on(pool, feed, tmp_path):
    def wait(path: str):
        import os
        import time

        print("waiting for", path)
        while not os.path.exists(path):
            time.sleep(0.01)

    running = pool(1)
    path = tmp_path / "go"
    given = feed(wait, [{"path": str(path)}])
    running.add(given)
    while not given.told[0].printed:
        running.step()
    assert (given.told[0].printed, given.told[0].ended) == (f"waiting for {path}\n", 0)
    path.touch()
    while running.serves(given):
        running.step()
    assert given.told[0].status is RunStatus.SUCCEEDED
    assert given.told[0].kinds == [EventKind.STARTED, EventKind.LOG, EventKind.FINISHED]


def test_of_100_mb_the_beginning_and_the_end_are_kept_and_the_disk_is_not_filled(work, tmp_path):
    def babble(lines: int):
        import sys

        for number in range(lines):
            sys.stdout.write(f"{number:09d} {'x' * 89}\n")

    talkative, next_one = work(babble, [{"lines": 1_000_000}, {"lines": 1}])
    assert talkative.status is RunStatus.SUCCEEDED
    assert LOG_LIMIT_BYTES < len(talkative.printed) < LOG_LIMIT_BYTES + 100_000
    assert talkative.printed.startswith("000000000 x")
    assert talkative.printed.endswith(f"000999999 {'x' * 89}\n")
    assert "bytes of output are left out here]" in talkative.printed
    assert next_one.printed == f"000000000 {'x' * 89}\n"
    assert not list(tmp_path.glob("**/*.result"))


def test_a_log_that_was_emptied_underway_still_says_that_its_run_has_printed(tmp_path):
    path = tmp_path / "0.log"
    with path.open("ab", buffering=0) as written:
        written.truncate(70 * 2**20)
        tail = LogTail(path)
        assert sum(map(len, tail.news())) == LOG_LIMIT_BYTES
        assert path.stat().st_size == 1  # a worker asks for its log's size to know whether its run has printed
        written.write(b"the end")
        assert tail.finish()[-1].endswith("the end")
    assert not path.exists()


def test_a_letter_of_two_bytes_at_the_limit_stays_one_where_nothing_is_left_out(tmp_path):
    path = tmp_path / "0.log"
    path.write_text(text := "a" + "é" * (LOG_LIMIT_BYTES // 2 + 500), encoding="utf-8")
    assert "".join(LogTail(path).finish()) == text
    path.write_text("a" + "é" * LOG_LIMIT_BYTES, encoding="utf-8")
    begin, note, end = "".join(LogTail(path).finish()).partition("\n[fanfold: ")
    assert note
    assert begin == "a" + "é" * (LOG_LIMIT_BYTES // 2 - 1) + "\ufffd"
    assert end.endswith("éé")


def test_output_that_just_passes_the_limit_is_kept_whole(work):
    def babble(characters: int):
        print("y" * characters, end="")

    (told,) = work(babble, [{"characters": LOG_LIMIT_BYTES + 1000}])
    assert told.printed == "y" * (LOG_LIMIT_BYTES + 1000)


def test_text_that_is_no_text_does_not_stop_anybody(work):
    def mutter():
        import os
        import sys

        print("lone \ud800 surrogate")
        os.write(1, b"\xff\xfe no utf-8\n")
        sys.stdout.write("é" * 100_000)

    (told,) = work(mutter)
    assert told.status is RunStatus.SUCCEEDED
    assert "\\ud800" in told.printed
    assert "\ufffd\ufffd no utf-8\n" in told.printed
    assert told.printed.endswith("é" * 100_000)


def test_a_run_may_close_replace_or_detach_its_streams(work):
    def meddle(how: str):
        import io
        import os
        import sys

        print("before", how)
        if how == "close fd":
            sys.stdout.flush()
            os.close(1)
        elif how == "lose":
            os.close(1)
            print("written to a closed descriptor")
        elif how == "close":
            sys.stdout.close()
        elif how == "detach":
            sys.stdout.detach()
        elif how == "replace":
            sys.stdout = io.StringIO()
            print("into a buffer")
        elif how == "none":
            sys.stdout = None
        elif how == "delete":
            del sys.stdout
        elif how == "broken":

            class Broken:
                def write(self, text):
                    return len(text)

                def flush(self):
                    raise KeyError("flush")

            sys.stdout = sys.stderr = Broken()
        elif how == "stderr too":
            os.close(1)
            os.close(2)
        return how

    ways = ["close fd", "lose", "close", "detach", "replace", "none", "delete", "broken", "stderr too"]
    told = work(meddle, [{"how": how} for way in ways for how in (way, "nothing")])
    assert [one.printed for one in told[1::2]] == ["before nothing\n"] * len(ways)
    assert [one.value for one in told[1::2]] == ["nothing"] * len(ways)
    for way, one in zip(ways, told[::2], strict=True):
        if way != "lose":  # its print failed, as it does anywhere
            assert (one.value, one.printed) == (way, f"before {way}\n")
