"""Reports of the tests are sealed by a key of their own, not by the account's."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_key(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
