"""`job.export(path)` and `job.dataset()`: what a job gave, for programs that do not know Fanfold."""

from __future__ import annotations

import json

import duckdb
import pandas as pd
import pytest

import fanfold
from fanfold.job.open_bundle import verify_exported


def table(day: str, rows: int = 3):
    import pandas as pd

    if day == "broken":
        raise ValueError("no such day")
    return pd.DataFrame({"day": [day] * rows, "n": range(rows), "x": [0.5] * rows})


def squared(x: int):
    return {"x": x, "square": x * x}


@pytest.fixture
def frames():
    return fanfold.submit(table, ["mon", "tue", "broken", "wed"], rows=2000, collect=False).wait()


def test_duckdb_and_pandas_read_an_exported_job_without_us(frames, tmp_path):
    folder = frames.export(tmp_path / "days")
    runs = pd.read_parquet(folder / "runs.parquet")
    assert list(runs["status"]) == ["succeeded", "succeeded", "failed", "succeeded"]
    assert list(runs["arg_day"]) == ["mon", "tue", "broken", "wed"]
    assert runs["error_message"][2] == "no such day"
    query = f"SELECT run, count(*), sum(n) FROM read_parquet('{folder}/results/*/*.parquet', hive_partitioning=true)"
    assert duckdb.sql(f"{query} GROUP BY run ORDER BY run").fetchall() == [(n, 2000, 1999000) for n in (0, 1, 3)]
    assert len(pd.read_parquet(folder / "results/run=1/result.parquet")) == 2000
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["id"], manifest["runs"], manifest["status"]) == (frames.id, 4, "Failed")


def test_plain_values_stand_in_the_table_as_json(tmp_path):
    job = fanfold.submit(squared, [1, 2], collect=False).wait()
    folder = job.export(tmp_path / "out")
    found = duckdb.sql(f"SELECT arg_x, result->>'square' FROM '{folder}/runs.parquet' ORDER BY run").fetchall()
    assert found == [(1, "1"), (2, "4")]
    assert [json.loads(line) for line in (folder / "inputs.jsonl").read_text().splitlines()] == [{"x": 1}, {"x": 2}]


def test_the_folder_alone_proves_that_it_is_whole(frames, tmp_path):
    folder = frames.export(tmp_path / "days")
    receipt = verify_exported(folder)
    assert receipt.complete
    assert (receipt.results, receipt.failed, receipt.count) == (3, [2], 4)
    (folder / "results/run=1/result.parquet").write_bytes(b"other")
    (folder / "results/run=3/result.parquet").unlink()
    with (folder / "inputs.jsonl").open("a") as file:
        file.write("{}\n")
    receipt = verify_exported(folder)
    assert not receipt.complete
    assert receipt.damaged.keys() == {1, 3}
    assert receipt.damaged_sources == ["inputs.jsonl is damaged: its bytes do not match their hash"]


def test_a_folder_with_something_in_it_is_left_alone(frames, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(fanfold.InputError, match="exists already"):
        frames.export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_dataset_reads_only_what_it_is_asked_for(engine):
    job = fanfold.submit(table, ["mon", "tue"], rows=50_000, collect=False).wait()
    objects, read = job.tracker.engine.stores.objects, []
    dataset = job.dataset()
    whole = sum(job.state.output(index).size for index in range(2))
    genuine = objects.get_range

    def counting(key, start, stop):
        data = genuine(key, start, stop)
        read.append(len(data))
        return data

    objects.get_range = counting
    try:
        import pyarrow.dataset as ds

        found = dataset.to_table(columns=["day", "run"], filter=ds.field("run") == 1)
    finally:
        del objects.get_range
    assert found.num_rows == 50_000
    assert set(found["day"].to_pylist()) == {"tue"}
    assert 0 < sum(read) < whole / 2


def test_small_frames_are_in_the_dataset_too_and_other_values_are_refused():
    job = fanfold.submit(table, ["mon", "tue"], collect=False).wait()
    assert job.dataset().count_rows() == 6
    assert job.dataset().to_table().sort_by("run").column("run").to_pylist() == [0] * 3 + [1] * 3
    with pytest.raises(fanfold.InputError, match=r"Run 0 .* gave no frame"):
        fanfold.submit(squared, [1], collect=False).wait().dataset()


def of_kind(kind: str):
    columns = {"n": [1, 2], "t": ["a", None]}
    if kind.startswith("polars"):
        import polars as pl

        return pl.DataFrame(columns) if kind == "polars" else pl.Series("n", [1, 2])
    import pyarrow as pa

    return {"table": pa.table, "batch": pa.record_batch, "array": lambda _: pa.array([1, 2])}[kind](columns)


@pytest.mark.parametrize("kind", ["polars", "polars series", "table", "batch", "array"])
def test_frames_of_each_library_are_parquet_in_the_folder_and_in_the_dataset(kind, tmp_path):
    job = fanfold.submit(of_kind, [kind], collect=False).wait()
    folder = job.export(tmp_path / "out")
    assert verify_exported(folder).complete
    found = pd.read_parquet(folder / "results/run=0/result.parquet")
    assert found.iloc[:, 0].tolist() == [1, 2]
    if kind in ("batch", "array"):  # which are no Parquet where they are kept
        with pytest.raises(fanfold.InputError, match="gave no frame"):
            job.dataset()
    else:
        assert job.dataset().to_table().column(0).to_pylist() == [1, 2]


def test_polars_frames_as_they_were_kept_before_are_read_too(monkeypatch):
    from fanfold.codec import decode
    from fanfold.core.fold import JobState

    job = fanfold.submit(of_kind, ["polars"], collect=False).wait()
    output = job.state.output(0)
    old = output._replace(codec="parquet-polars/1", inline=b"F" + output.inline, size=output.size + 1)
    assert decode(old.codec, old.inline).equals(of_kind("polars"))
    assert decode(old.codec, b"S" + output.inline).name == "n"
    monkeypatch.setattr(JobState, "output", lambda *_: old)
    assert job.dataset().to_table().column("n").to_pylist() == [1, 2]


def test_a_dataset_is_of_all_runs_or_says_that_it_is_not(frames):
    with pytest.raises(fanfold.RunFailed, match="no such day"):
        frames.dataset()
    some = frames.dataset(ignore_exceptions=True)
    assert sorted(set(some.to_table(columns=["run"])["run"].to_pylist())) == [0, 1, 3]


def numbers(rows: int):
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(rows).random((rows, 3)), columns=["a", "b", "c"])


def test_large_frames_of_numbers_are_parquet_when_exported_and_are_read_where_they_lie_by_a_dataset(tmp_path):
    sizes = [3, 5000, 300_000]
    job = fanfold.submit(numbers, sizes, collect=False).wait()
    frames = job.results()
    kept = [job.state.output(index).codec for index in range(3)]
    assert kept == ["parquet-pandas/1", "ipc-pandas/1", "ipc-pandas/1"]
    for frame in frames:
        frame.iloc[0] = 0.0  # of this reader alone
    assert job.verify()
    assert [frame["a"].iloc[0] for frame in job.results()] == [
        numbers(rows)["a"].iloc[0] for rows in (3, 5000, 300_000)
    ]
    assert job.dataset().count_rows() == 305_003
    assert set(job.dataset().to_table(columns=["run", "b"])["run"].to_pylist()) == {0, 1, 2}
    folder = job.export(tmp_path / "out")
    assert verify_exported(folder)
    for run, rows in enumerate(sizes):
        exported = pd.read_parquet(folder / f"results/run={run}/result.parquet")
        pd.testing.assert_frame_equal(exported, numbers(rows), check_exact=True)
