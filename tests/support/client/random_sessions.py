"""Random sessions of the real client. A seed decides what the model answers and how each session begins."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.client.scripted_api import Tool, Turn, Usage

MODELS = ("claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5")
AGENT_MODELS = (None, "haiku", "sonnet")


@dataclass(frozen=True)
class Run:
    """One process of the client.

    Attributes:
        prompt: what it is asked. ``script:NAME`` names the script that answers.
        arguments: further arguments of the client.
        resumes: the place of an earlier run whose session it resumes; None for none.
        beside_next: whether it runs at the same time as the next one.
    """

    prompt: str
    arguments: tuple[str, ...] = ()
    resumes: int | None = None
    beside_next: bool = False


class Plan:
    """The runs of a seed and the scripts of the API.

    Args:
        seed: decides everything.
        count: how many runs there are.
        project: the folder in which the client works.
    """

    def __init__(self, seed: int, count: int, project: Path) -> None:
        self._dice = random.Random(seed)
        self._project = project
        self.scripts: dict[str, list[Turn]] = {}
        # The first run makes a commit, so that there is one to compare.
        self.scripts["first"] = [Turn("commit", [self._commit()]), Turn("done", usage=self._usage())]
        self.runs = [Run("script:first")]
        while len(self.runs) < count:
            self.runs.append(self._run(len(self.runs)))

    def _run(self, number: int) -> Run:
        dice = self._dice
        prompt = f"script:{self._script(f's{number}', agents=True)}"
        model = ("--model", dice.choice(MODELS))
        earlier = dice.randrange(number)
        match dice.choices(("new", "beside", "resume", "continue", "fork", "compact"), (4, 2, 2, 1, 2, 1))[0]:
            case "beside":
                return Run(prompt, model, beside_next=True)
            case "resume":
                return Run(prompt, model, resumes=earlier)
            case "continue":
                return Run(prompt, (*model, "--continue"))
            case "fork":
                return Run(prompt, (*model, "--fork-session"), resumes=earlier)
            case "compact":
                return Run("/compact be brief", resumes=earlier)
            case _:
                return Run(prompt, model)

    def _script(self, name: str, *, agents: bool) -> str:
        """Make a script of some turns, and return its name. Only the main conversation calls sub-agents."""
        dice = self._dice
        turns: list[Turn] = []
        for number in range(dice.randint(0, 4)):
            tools = [self._tool(name) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
            if agents and dice.random() < 0.25:
                tools.append(self._agent(f"{name}a{number}"))
            turns.append(Turn(f"step {number}", tools, self._usage(), self._errors()))
        self.scripts[name] = [*turns, Turn("that is all", usage=self._usage(), errors=self._errors())]
        return name

    def _usage(self) -> Usage:
        dice = self._dice

        def some(most: int, chance: float) -> int:
            return dice.randint(1, most) if dice.random() < chance else 0

        return Usage(
            input=dice.randint(1, 5000),
            output=dice.randint(1, 900),
            cache_read=some(100_000, 0.5),
            cache_write_5m=some(9000, 0.4),
            cache_write_1h=some(9000, 0.3),
        )

    def _errors(self) -> tuple[int, ...]:
        return (self._dice.choice((500, 529)),) if self._dice.random() < 0.08 else ()

    def _tool(self, name: str) -> Tool:
        file, dice = str(self._project / f"{name}.py"), self._dice
        tools = (
            _bash("true"),
            _bash("echo a b c"),
            _bash(f"exit {dice.randint(1, 3)}"),
            self._commit(),
            Tool("Read", {"file_path": str(self._project / "calc.py")}),
            Tool("Read", {"file": "none"}),  # invalid
            Tool("Read", {"file_path": str(self._project / "missing.py")}),
            Tool("Write", {"file_path": file, "content": "x = 1\n" * dice.randint(1, 20)}),
            Tool("Edit", {"file_path": file, "old_string": "x = 1", "new_string": "x = 2", "replace_all": True}),
            Tool("Glob", {"pattern": "*.py"}),
        )
        return dice.choice(tools)

    def _commit(self) -> Tool:
        quiet = self._dice.choice((" -q", ""))
        return _bash(f"git commit{quiet} --allow-empty -m work")

    def _agent(self, script: str) -> Tool:
        called: dict[str, Any] = {
            "description": script,
            "prompt": f"script:{self._script(script, agents=False)}",
            "subagent_type": "general-purpose",
            "run_in_background": False,
        }
        model = self._dice.choice(AGENT_MODELS)
        return Tool("Agent", called | ({"model": model} if model else {}))


def _bash(command: str) -> Tool:
    return Tool("Bash", {"command": command, "description": "work"})
