"""A table of the configuration file, and the texts in it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Table(BaseModel):
    """A table of the file. Frozen: ``Config.with_changes`` returns another configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)
