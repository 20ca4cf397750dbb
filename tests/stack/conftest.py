"""The real servers for the tests. Without Go, these tests are skipped."""

from __future__ import annotations

import pytest

from monitoring.rig.build import COMMANDS, UnavailableError, binary


@pytest.fixture(scope="session")
def servers() -> None:
    """Build the real servers, once for each machine."""
    try:
        for name in COMMANDS:
            binary(name)
    except UnavailableError as error:
        pytest.skip(str(error))
