"""A folder that a run is given counts with all that lies in it, unless the run has written there."""

from __future__ import annotations

import os
from pathlib import Path

import fanfold
from fanfold.codec import folders
from fanfold.codec.paths import content
from tests.cache.scenes import cached, write


def read_all(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()]


def read_in_a_list(folders: list[Path], suffix: str = "") -> list[str]:
    return [text for folder in folders for text in read_all(folder)]


def copy(name: str, source: Path, out: Path) -> str:
    text = (source / name).read_text()
    out.mkdir(exist_ok=True)
    (out / name).write_text(text)
    return text


def test_a_change_deep_in_a_folder_that_a_run_has_read_is_seen(scenes):
    deep = scenes / "2026" / "11"
    deep.mkdir(parents=True)
    day = write(deep, "day", "one")
    for udf, given in ((read_all, {"folder": scenes}), (read_in_a_list, {"folders": [scenes / "2026"]})):
        assert [cached(udf, [given]) for _ in range(2)] == [0, 1]
        about = day.stat()
        day.write_text("two")
        os.utime(day, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert fanfold.run(udf, **given) == ["two"]
        day.write_text("one")
    write(deep, "next day", "")
    assert fanfold.run(read_all, folder=scenes) == ["one", ""]


def test_a_chunk_of_a_store_that_was_written_anew_is_seen(scenes):
    store = scenes / "rain.zarr"
    (store / "c").mkdir(parents=True)
    write(store, "zarr.json", "{}")
    for text in ("dry", "wet"):
        write(store / "c", "0", text)
        assert fanfold.run(read_all, folder=store) == [text, "{}"]
        assert cached(read_all, [store]) == 1


def test_a_folder_that_runs_write_to_counts_by_being_there_and_the_one_they_read_from_with_its_files(scenes):
    source, out = scenes / "source", scenes / "out"
    source.mkdir()
    out.mkdir()
    for name in "abc":
        write(source, name, name)
    given = {"source": source, "out": out}
    assert [cached(copy, list("abc"), **given) for _ in range(2)] == [0, 3]
    write(out, "by another", "")
    assert cached(copy, list("abc"), **given) == 3
    write(source, "b", "other")
    assert fanfold.submit(copy, list("abc"), **given).result.tolist() == ["a", "other", "c"]


def copy_some(name: str, source: Path, out: Path) -> str:
    return copy(name, source, out) if name != "empty" else ""


def test_a_run_that_had_nothing_to_write_serves_again_where_others_of_its_job_have_written(scenes):
    source, out = scenes / "source", scenes / "out"
    source.mkdir()
    out.mkdir()
    write(source, "a", "a")
    given = {"source": source, "out": out}
    assert [cached(copy_some, ["empty", "a", "empty"], **given, max_workers=1) for _ in range(2)] == [0, 3]
    write(source, "a", "other")
    assert cached(copy_some, ["empty", "a"], **given) == 0


def made(name: str, out: Path) -> str:
    out.mkdir(exist_ok=True)
    return write(out, name, name).name


def test_a_folder_that_the_first_run_makes_is_one_that_they_write_to(scenes):
    assert [cached(made, ["a"], out=scenes / "new") for _ in range(2)] == [0, 1]
    write(scenes / "new", "by another", "")
    assert cached(made, ["a"], out=scenes / "new") == 1


def test_a_folder_that_the_first_call_makes_is_one_that_a_cached_function_writes_to(scenes):
    calls = []

    @fanfold.cache
    def once(name: str, out: Path) -> str:
        calls.append(name)
        return made(name, out)

    assert [once("a", scenes / "new") for _ in range(2)] == ["a", "a"]
    write(scenes / "new", "by another", "")
    assert once("a", scenes / "new") == "a"
    assert calls == ["a"]


def test_what_a_folder_holds_counts_for_a_function_that_is_cached(scenes):
    calls = []

    @fanfold.cache
    def read(folder: Path, out: Path) -> list[str]:
        calls.append(folder)
        write(out, "a", "result")
        return read_all(folder)

    source, out = scenes / "source", scenes / "out"
    source.mkdir()
    out.mkdir()
    for text in ("one", "other"):
        write(source, "a", text)
        assert [read(source, out) for _ in range(2)] == [[text]] * 2
    assert len(calls) == 2


def test_a_folder_of_too_many_files_counts_by_being_there_which_is_said(scenes, capfd):
    for number in range(folders.MOST_ENTRIES + 1):
        (scenes / f"{number}").touch()
    assert cached(read_all, [scenes]) == 0
    assert f"more than {folders.MOST_ENTRIES:,} files lie in {scenes}" in capfd.readouterr().err
    write(scenes, "1", "other")
    assert cached(read_all, [scenes]) == 1
    udf = fanfold.udf(read_all, depends_on=["folder"])
    assert [cached(udf, [scenes]) for _ in range(2)] == [0, 1]
    write(scenes, "1", "another")
    assert cached(udf, [scenes]) == 0
    assert capfd.readouterr().err == ""


def test_the_folder_that_one_works_in_counts_by_being_there(scenes, monkeypatch, capfd):
    monkeypatch.chdir(scenes)
    write(scenes, "log", "one")
    assert cached(read_all, [Path(".")]) == 0
    write(scenes, "log", "two")
    assert cached(read_all, [Path(".")]) == 1
    assert capfd.readouterr().err == ""


def test_links_to_folders_are_followed_unless_they_lead_back(scenes, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (scenes / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(scenes)
    (scenes / "nowhere").symlink_to(scenes / "nowhere")
    write(elsewhere, "day", "one")
    udf = fanfold.udf(read_one, depends_on=["folder"])
    for text in ("one", "two"):
        write(elsewhere, "day", text)
        before = content(str(elsewhere))
        for one in (udf, read_one):
            assert fanfold.run(one, folder=scenes) == text
            assert cached(one, [scenes]) == 1
        assert content(str(elsewhere)) == before


def read_one(folder: Path) -> str:
    return (folder / "link" / "day").read_text()


def test_what_only_readers_leave_in_a_folder_does_not_count(scenes):
    write(scenes, "data.mdb", "data")
    assert cached(read_all, [scenes]) == 0
    for name in ("lock.mdb", ".DS_Store", "places.gpkg-shm", "places.gpkg-wal"):
        (scenes / name).touch()
    state = folders.states([str(scenes)])
    write(scenes, "lock.mdb", "a reader")
    assert folders.states([str(scenes)]) == state
    write(scenes, "places.gpkg-wal", "a row")
    assert folders.states([str(scenes)]) != state


def read_from_home(folder: Path) -> list[str]:
    return read_all(Path(os.path.expandvars(folder.expanduser())))


def test_a_folder_that_is_named_from_the_home_or_by_a_variable_counts_with_its_files(scenes, monkeypatch):
    monkeypatch.setenv("HOME", str(scenes))
    deep = scenes / "source" / "deep"
    deep.mkdir(parents=True)
    for named in (Path("~/source"), Path("$HOME/source")):
        for text in ("one", "other"):
            write(deep, "a", text)
            assert fanfold.run(read_from_home, folder=named) == [text]


def test_no_file_is_overlooked_for_the_many_that_count_for_nothing(scenes, monkeypatch):
    monkeypatch.setattr(folders, "MOST_ENTRIES", 4)
    for number in range(40):
        write(scenes, f"{number}.db-shm", "")
    for name in "abcd":
        write(scenes, name, name)
    before = folders.states([str(scenes)])
    for name in "abcd":
        write(scenes, name, f"another {name}")
        now = folders.states([str(scenes)])
        assert folders.changed_since(folders.seal(before, before), dict(now)) == [str(scenes)]
        before = now


def commit_of(repository: Path) -> str:
    return (repository / ".git" / "refs" / "main").read_text()


def test_a_repository_counts_with_its_commits_and_not_with_what_git_writes_when_it_looks(scenes):
    refs = scenes / ".git" / "refs"
    refs.mkdir(parents=True)
    write(refs, "main", "one")
    assert [cached(commit_of, [scenes]) for _ in range(2)] == [0, 1]
    write(scenes / ".git", "index", "what git status has seen")
    assert cached(commit_of, [scenes]) == 1
    write(refs, "main", "two")
    assert fanfold.run(commit_of, scenes) == "two"
