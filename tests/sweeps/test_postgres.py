"""The temporary PostgreSQL server, by what Optuna does with it."""

import optuna
import pytest

from tests.sweeps.postgres import postgres_server


def test_two_connections_see_one_study_and_the_server_goes_at_the_end():
    with postgres_server() as url:
        first = optuna.create_study(study_name="shared", storage=url, direction="maximize")
        second = optuna.load_study(study_name="shared", storage=url)
        numbers = [study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).number for study in (first, second)]
        assert numbers == [0, 1]
        second.tell(0, 0.25)
        assert first.trials[0].value == 0.25
        for study in (first, second):
            study._storage.remove_session()
            study._storage._backend.engine.dispose()
    with pytest.raises(Exception, match="refused"):
        optuna.create_study(storage=url)
