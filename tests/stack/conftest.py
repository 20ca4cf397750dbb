"""Servers for the proofs; without Go they are skipped, and say why."""

from __future__ import annotations

import pytest

from monitoring.rig.build import COMMANDS, UnavailableError, binary


@pytest.fixture(scope="session")
def servers() -> None:
    """Builds the real servers, once for a machine."""
    try:
        for name in COMMANDS:
            binary(name)
    except UnavailableError as error:
        pytest.skip(str(error))
