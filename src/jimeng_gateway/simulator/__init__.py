"""The Jimeng site as a program: for demos, for tests and for client developers who have no account to spare.

It stands for the site and is there to check the gateway, so it shares no code with it. Everything that
decides is in `world` and its neighbours, driven by times that are handed in; `server` puts it on a port.
"""

from __future__ import annotations

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator, serve

__all__ = ["Simulator", "SimulatorOptions", "serve"]
