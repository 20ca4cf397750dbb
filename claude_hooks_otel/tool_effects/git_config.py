"""Reads one value of a git configuration file. Source: git-config(1), "Syntax"."""

from __future__ import annotations

import configparser
import re


def config_value(text: str, section: str, key: str) -> str | None:
    r"""Return the last value of a key, without quotes and comment; None if it is not set.

    Args:
        text: the content of the file.
        section: the section, with its subsection as in the file, such as ``remote "origin"``.
        key: the key.

    Raises:
        configparser.Error: the text is no configuration.

    >>> config_value('[user]\n\tname = "Ann Lee" ; me', "user", "name")
    'Ann Lee'
    """
    config = configparser.RawConfigParser(strict=False, allow_no_value=True, interpolation=None)
    config.read_string(text.replace("\t", ""))
    value = (config.get(section, key, fallback="") or "").strip()
    if quoted := re.match(r'"((?:[^"\\]|\\.)*)"', value):
        return re.sub(r"\\(.)", r"\1", quoted[1]) or None
    return re.split(r"\s[#;]", value)[0].rstrip() or None
