import pytest

from tests.report.pages import report
from tests.report.study_folder import outputs


@pytest.fixture(scope="package")
def study(tmp_path_factory):
    return outputs(tmp_path_factory.mktemp("study") / "outputs")


@pytest.fixture(scope="package")
def reported(study):
    folder = study.parent / "report"
    return folder, report(folder, study, draw=True)
