"""Puts together what gives an event its identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from claude_hooks_otel.facts.chosen_labels import ChosenLabels
from claude_hooks_otel.facts.identities import IdentityResolver
from claude_hooks_otel.facts.projects import project_in_time
from claude_hooks_otel.metrics.labels import Identity, resolve_identity
from claude_hooks_otel.resource_attributes import attribute_labels
from claude_hooks_otel.settings import Config


def identity_resolver(
    config: Config, resource_attributes: Mapping[str, str] = MappingProxyType({}), *, is_live: bool = True
) -> IdentityResolver:
    """Return a function that gives an event its identity.

    For each label, the first of these decides: the session's variables, ``[agents]`` and ``[projects]``, ``[identity]``, ``OTEL_RESOURCE_ATTRIBUTES``, and
    for the project the repository. What ``[labels]`` chooses comes from ``ChosenLabels``.

    Args:
        config: what the owner has set.
        resource_attributes: those of ``OTEL_RESOURCE_ATTRIBUTES``.
        is_live: whether the event happens now, so that the branch of a folder is the one that is checked out.
    """
    fallback = config.identity.model_dump()
    named, chosen = attribute_labels(resource_attributes), ChosenLabels(config, Path.home())

    def resolve(
        headers: Mapping[str, str], directory: str | None, before: Callable[[], Identity | None] = lambda: None
    ) -> Identity:
        listed = config.labels_for(directory) if directory else {}
        return resolve_identity(
            headers, listed, fallback, named,
            project_name=lambda: project_in_time(directory or "", before),
            chosen=chosen.of(headers, directory if is_live else None),
        )  # fmt: skip

    return resolve


def branch_label(config: Config) -> Callable[[str], str | None] | None:
    """Return a function that gives a branch the form that an ``Identity`` has; None if the configuration does not choose the label."""
    if "branch" not in config.labels.chosen:
        return None
    chosen = ChosenLabels(config, Path.home())
    return lambda name: chosen.value("branch", name)
