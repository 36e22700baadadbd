"""The folder that all runs share: `fanfold.mount_path()`."""

import pytest

import fanfold


@fanfold.udf
def leave_a_note(name: str):
    folder = fanfold.mount_path()
    (folder / name).write_text(name)
    return str(folder)


def test_what_one_run_writes_there_another_run_and_the_caller_can_read(home):
    job = fanfold.submit(leave_a_note, ["a", "b"], collect=False)
    assert set(job.results()) == {str(fanfold.mount_path())}
    assert sorted(path.name for path in fanfold.mount_path().iterdir()) == ["a", "b"]


def test_a_run_shares_its_jobs_home_also_where_only_configure_knows_it(tmp_path):
    fanfold.configure(home=tmp_path / "elsewhere")
    assert fanfold.run(leave_a_note, name="c") == str(tmp_path / "elsewhere" / "mount")


def test_a_run_of_a_deployment_has_what_its_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FANFOLD_MOUNT", str(tmp_path / "shared"))
    assert fanfold.mount_path() == tmp_path / "shared"


def test_outside_a_run_a_deployments_folder_is_out_of_reach(monkeypatch):
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", "main")
    with pytest.raises(fanfold.ConfigurationError, match="call it within a UDF"):
        fanfold.mount_path()
