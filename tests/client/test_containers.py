"""Sessions of the real client in containers: with the daemon in another container, and with the dev container feature."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import containers
from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.client.versions import VERSIONS
from tests.support.containers import TIMEOUT, Images
from tests.support.places import ROOT

REASON = missing(VERSIONS[-1]) or containers.missing()
pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(LONGEST_SCENARIO + 3 * TIMEOUT),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.xdist_group("images"),
]
FEATURE = ROOT / "deploy" / "devcontainer" / "src" / "claude-hooks-otel"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """A store with the base image, a Debian with Python."""
    found = Images(tmp_path_factory.mktemp("images"))
    found.base()
    return found


def test_a_session_and_the_daemon_work_in_containers_of_their_own(images: Images, tmp_path: Path) -> None:
    """The container of the session has one file of ours and no Python. Both run as the same user, who is not root."""
    images.build("Dockerfile", "claude-hooks-otel", BASE="localhost/base")
    images.build("session.Dockerfile", "claude-session", BASE="localhost/base", TELEMETRY="localhost/claude-hooks-otel")
    found = play("containers", tmp_path / "world", str(images.folder), version=VERSIONS[-1])
    assert found["session"][:2] == [0, "done\n"]
    for kind in ("sessions", "tokens", "requests", "tools"):
        assert found["ours"][kind] == found["client"][kind] != {}, kind
    assert found["ours"]["cost"] == pytest.approx(found["client"]["cost"], rel=1e-9)
    assert found["labels"] == ['["backend", "shop"]']
    assert "backend  shop            1        1      2,114          80  $0.0056" in found["report"]
    assert found["health"] == [1, 0, 1]  # before, while the daemon runs, and after
    assert found["daemon"] == [0, ""]
    assert (found["user"], found["owners"]) == ("1000", [1000])
    assert found["python_of_the_session"] == ["share"]
    assert found["page"] == 0


def test_the_dev_container_feature_captures_the_sessions_of_every_user(images: Images, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run(command, check=True, timeout=TIMEOUT)
    [wheel] = wheels.iterdir()
    container = images.container("localhost/base")
    given = {"VERSION": f"/wheels/{wheel.name}", "AGENT": "", "TEAM": "shop team", "PROTOCOL": "auto"}
    volumes = {wheels: "/wheels:ro", FEATURE: "/feature:ro", Path(containers.CERTIFICATES): containers.CERTIFICATES}
    installed = images.run(
        container, ["/feature/install.sh"], volumes=volumes, environ=given, user="0:0", timeout=TIMEOUT
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    found = play("devcontainer", tmp_path / "world", str(images.folder), container, version=VERSIONS[-1])
    assert (found["code"], found["flush"][0]) == (0, 0)
    total = found["total"]
    assert total["requests"] == len(found["charged"]) == 2
    assert total["output_tokens"] == sum(charge["output"] for charge in found["charged"])
    assert total["cost_usd"] > 0
    assert [row["agent"] for row in found["rows"]] == ["default"]
    assert "claude-hooks-otel works" in found["test"]


def test_the_options_of_the_feature_are_the_variables_of_its_script() -> None:
    """The tool passes each option in upper case (Dev Container Features reference, "Option resolution")."""
    feature = json.loads((FEATURE / "devcontainer-feature.json").read_text(encoding="utf-8"))
    script = (FEATURE / "install.sh").read_text(encoding="utf-8")
    assert feature["id"] == FEATURE.name
    for name, option in feature["options"].items():
        assert f"${{{name.upper()}:-" in script
        assert f"| `{name}` |" in (FEATURE / "README.md").read_text(encoding="utf-8")
        assert option["default"] in option.get("enum", [option["default"]])
