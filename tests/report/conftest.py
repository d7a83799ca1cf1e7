"""A study and its report, which the processes of pytest share: both take long to make."""

import pytest

from hybrid_seq_gnn.files import locked
from tests.report.pages import Page, report
from tests.report.study_folder import outputs


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """A folder for all processes, which is complete when its report is."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared-report"
    folder.mkdir(exist_ok=True)
    with locked(folder / "lock"):
        if not (folder / "complete").exists():
            report(folder / "report", outputs(folder / "outputs"), draw=True)
            (folder / "complete").touch()
    return folder


@pytest.fixture
def study(shared):
    return shared / "outputs"


@pytest.fixture
def reported(shared):
    return shared / "report", Page((shared / "report/report.html").read_text())
