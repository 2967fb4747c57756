"""What one call of the site is carried out with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Struct

from jimeng_gateway.simulator.account import Account
from jimeng_gateway.simulator.links import Links
from jimeng_gateway.simulator.refusal import Refusal
from jimeng_gateway.simulator.traffic import Call
from jimeng_gateway.simulator.world import World

B = TypeVar("B", bound=Struct)


@dataclass(frozen=True, slots=True)
class Context:
    """What a call is carried out with."""

    world: World
    call: Call
    now: float
    links: Links

    def account(self) -> Account:
        """Who asks; settled, so that its purse is right."""
        found = self.world.account(self.call.session)
        self.world.settle(found, self.now)
        return found

    def body(self, shape: type[B]) -> B:
        """The body; an empty one is `{}`. Refusal 1000 for another shape, 1002 for no JSON."""
        try:
            return msgspec.json.decode(self.call.body or b"{}", type=shape)
        except msgspec.ValidationError as error:
            raise Refusal("1000") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal("1002") from error
