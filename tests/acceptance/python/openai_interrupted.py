"""The OpenAI SDK at a gateway that dies under it and comes back (clients.md 12)."""

from __future__ import annotations

from typing import Any

from openai import OpenAI
from steps import KEY, Case, is_, main, step


def client_of(case: Case) -> OpenAI:
    return OpenAI(base_url=f"{case.root}/v1", api_key=KEY)


@step("waited-for")
def waited_for(case: Case) -> Any:
    """The connection that waits for the picture breaks; the SDK asks again."""
    reply = client_of(case).images.generate(
        model="jimeng-4.5", prompt=case.prompt("a cat [sim:slow=150]"), n=1, response_format="url"
    )
    return is_(len(reply.data), 1)


@step("polled")
def polled(case: Case) -> Any:
    made = client_of(case).videos.create_and_poll(
        model="seedance-2.0",
        prompt=case.prompt("a cat [sim:slow=150]"),
        seconds="4",
        poll_interval_ms=300,
    )
    is_((made.status, made.error), ("completed", None))
    return made.id


if __name__ == "__main__":
    main()
