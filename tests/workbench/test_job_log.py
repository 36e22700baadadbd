"""The log of a job as the server keeps it: whole lines, found by words, errors and runs, however many there are."""

from __future__ import annotations

from contextlib import closing

import pytest

from fanfold.workbench import job_log
from fanfold.workbench.job_log import JobLog, cut, last_of


@pytest.fixture
def log():
    made = JobLog()
    yield made
    made.close()


def texts(lines):
    return [line.text for line in lines]


@pytest.mark.parametrize("together", [1 << 19, 4])
def test_pieces_that_meet_within_a_line_are_one_line(log, together, monkeypatch):
    monkeypatch.setattr(job_log, "_WRITTEN_TOGETHER", together)
    log.add([(0, 0, 1.0, "one\ntw"), (1, 0, 1.5, "other\n"), (0, 0, 2.0, "o\r"), (0, 0, 2.1, "\nthr")])
    assert texts(log.lines(0, 9)) == ["one", "other", "two"]
    assert log.begun(0) == "thr"
    log.end()
    assert texts(log.lines(0, 9, run=0)) == ["one", "two", "thr"]


def test_each_attempt_has_its_lines_with_their_times(log):
    log.add([(3, 0, 10.0, "first\n"), (3, 1, 20.0, "second\n")])
    assert [(line.run, line.attempt, line.at, line.text) for line in log.lines(0, 2)] == [
        (3, 0, 10.0, "first"),
        (3, 1, 20.0, "second"),
    ]
    assert b"[3, attempt 2] second" in b"".join(log.text())


def test_words_are_found_in_all_lines_whatever_their_case_and_counted(log):
    log.add((n % 5, 0, 0.0, f"line {n} of many\n") for n in range(20_000))
    log.add([(2, 0, 0.0, "the NEEDLE\n")])
    assert log.next_hit("needle", -1) == (20_000, 1, True)
    assert log.next_hit("needle", -1, run=2) == (4_000, 1, True)
    assert log.next_hit("needle", -1, run=1).place is None
    first = log.next_hit("line 1 ", -1)
    assert (first.place, first.count) == (1, 1)
    assert log.next_hit("line 12", 12).place == 120
    assert log.next_hit("line 12", 19_999).place == 12  # past the last it begins again


def test_errors_are_jumped_to_in_all_lines_or_those_of_a_run(log):
    log.add([(0, 0, 0.0, "fine\nValueError: 3 is odd\n"), (1, 0, 0.0, "Warning: slow\nfine\n")])
    assert log.next_error(-1) == (1, 1, True)
    assert log.next_error(1) == (1, 1, True)
    assert log.next_error(-1, run=1) == (None, 0, True)
    assert [line.level for line in log.lines(0, 4)] == ["", "error", "warning", ""]


def test_what_only_steers_a_terminal_is_left_out_and_a_progress_bar_is_its_last_state(log):
    log.add([(0, 0, 0.0, "\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n")])
    assert texts(log.lines(0, 2)) == ["red", "100%"]


def test_all_that_steers_a_terminal_is_left_out_in_seven_bits_and_in_eight(log):
    steering = [
        "\x1b(B\x1b[m",
        "\x9b31m",
        "\x1b7\x1b8\x1b=\x1bc",
        "\x1b]8;;http://x\x1b\\",
        "\x9d0;title\x9c",
        "\x1bP1q~\x1b\\",
        "\x85",
    ]
    log.add([(0, 0, 0.0, "".join(f"a{one}b\n" for one in steering))])
    assert texts(log.lines(0, 9)) == ["ab"] * len(steering)
    log.add([(1, 0, 0.0, "\x9d" * 300_000 + "\x1b]" * 300_000 + "end\n")])  # read once, not once for each of them
    assert texts(log.lines(len(steering), 9)) == ["end"]


def test_lines_of_a_piece_are_kept_and_told_apart_as_each_would_be_alone():
    words = "error MyError warn UserWarning fatal ok errors terror \x1b[31mred\x1b[0m a\rb İ TRACEBACK \x00".split(" ")
    lines = [f"{one} {other}" for one in words for other in words]
    with closing(JobLog()) as whole, closing(JobLog()) as single:
        whole.add([(0, 0, 1.0, "\n".join([*lines, ""]))])
        for line in lines:
            single.add([(0, 0, 1.0, f"{line}\n")])
        assert whole.lines(0, len(lines)) == single.lines(0, len(lines))
        assert {line.level for line in whole.lines(0, len(lines))} == {"", "warning", "error"}


@pytest.mark.parametrize("run", [None, 1])
def test_the_download_has_long_lines_whole(log, run):
    log.add([(1, 0, 0.0, f"short\n{'é' * 30_000}\n"), (1, 0, 0.0, f"{'y' * 30_000}\n")])
    assert len(log.lines(1, 2, run)[0].text) < 11_000
    lines = b"".join(log.text(run)).decode().splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["short", "é" * 30_000, "y" * 30_000]


def test_of_a_progress_bar_is_kept_what_a_terminal_shows_however_often_it_moved(log):
    for done in range(1_000):
        log.add([(0, 0, 0.0, f"\r{done} of 1000" + " " * 100)])
    [(_, kept)] = log._begun.values()
    assert len(kept) < 200
    log.add([(0, 0, 0.0, "\r1000 of 1000\r\n"), (0, 0, 0.0, "next\n")])
    assert texts(log.lines(0, 9)) == ["1000 of 1000", "next"]


@pytest.mark.parametrize("run", [None, 0])
def test_a_search_goes_on_from_the_start_of_a_log_that_has_become_shorter(log, run):
    """The server has come back and reads it anew; the page is where it was."""
    log.add([(0, 0, 0.0, "a needle\nhay\n")])
    assert log.next_hit("needle", 70_000, run) == (0, 1, True)
    assert log.next_error(70_000, run) == (None, 0, True)


@pytest.mark.parametrize("run", [None, 0])
@pytest.mark.parametrize("words", ["ärger", "ÄRGER", "ΟΔΌΣ", "οδός", "Привет", "straße", "STRAẞE", "İzmir", "error ä"])
def test_words_are_found_whatever_their_case_in_every_alphabet(log, words, run):
    lines = [
        "Ärger",
        "ärger",
        "Οδός",
        "ΟΔΌΣ",
        "ПРИВЕТ",
        "привет",
        "Straße",
        "STRAẞE",
        "İZMIR",
        "izmir",
        "ERROR Ä",
        "日本",
    ]
    log.add([(0, 0, 0.0, "".join(f"a line before {line} and after\n" for line in lines))])
    same = [place for place, line in enumerate(lines) if line.casefold() == words.casefold()]
    assert len(same) in (1, 2)
    assert log.next_hit(words, -1, run) == (same[0], len(same), True)
    assert log.next_hit(words, same[0], run) == (same[-1], len(same), True)


def test_of_long_lines_as_much_is_shown_as_a_page_has_room_for(log):
    log.add([(0, 0, 0.0, "".join(f"{n} {'x' * 9_000}\n" for n in range(200)))])
    lines = log.lines(0, 200)
    shown = cut(lines, 100_000)
    assert [line.text[:3].strip() for line in shown] == [line.text[:3].strip() for line in lines]
    assert sum(len(line.text) for line in shown) < 120_000
    assert shown[0].text.endswith("x … (cut here; Download has it whole)")
    assert cut(lines, 10_000_000) == lines
    assert last_of(lines, 20_000) == lines[-2:]
    assert last_of(lines, 1) == lines[-1:]
    assert last_of(lines, 10_000_000) == lines
    assert last_of([], 1) == []
