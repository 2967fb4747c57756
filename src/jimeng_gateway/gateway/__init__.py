"""The facade: everything that HTTP, command line and dashboard can ask of the gateway.

It checks who asks and what is asked, writes the wish down, and leaves the doing to the worker; it works the
same in a process that has no worker at all. Each module adds the methods of one subject.
"""

from __future__ import annotations

from jimeng_gateway.gateway.deliveries import DeliveryDesk
from jimeng_gateway.gateway.desk import ADMIN, LOCAL, Caller, GatewayParts, Page
from jimeng_gateway.gateway.files import FileDesk
from jimeng_gateway.gateway.keys import KeyDesk
from jimeng_gateway.gateway.results import ResultDesk
from jimeng_gateway.gateway.sessions import SessionCheck, SessionDesk
from jimeng_gateway.gateway.state import Health, StateDesk
from jimeng_gateway.gateway.tasks import Placed, Rehearsal

__all__ = [
    "ADMIN",
    "LOCAL",
    "Caller",
    "Gateway",
    "GatewayParts",
    "Health",
    "Page",
    "Placed",
    "Rehearsal",
    "SessionCheck",
]


class Gateway(KeyDesk, ResultDesk, FileDesk, SessionDesk, StateDesk, DeliveryDesk):
    """All of it."""
