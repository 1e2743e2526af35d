"""The build hook: compiles the engine, and names the wheel after the platform that it is for."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build_engine


class EngineHook(BuildHookInterface):
    """One wheel for every Python: the engine has a plain C interface."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before a wheel's or an editable install's files are gathered; a source archive has no libraries."""
        if self.target_name != "wheel":
            return
        try:
            made = build_engine.build()
        except build_engine.BuildError as e:
            sys.exit(f"ptofa-gpu cannot be built: {e}")
        build_data["pure_python"] = False
        # PTOFA_PLATFORM: for wheels that are built in an image of an older system, such as manylinux_2_28_x86_64
        name = os.environ.get("PTOFA_PLATFORM") or sysconfig.get_platform()
        build_data["tag"] = "py3-none-" + name.replace("-", "_").replace(".", "_")
        build_data["artifacts"] += [f"ptofa_gpu/_engine/{path.name}" for path in made]
