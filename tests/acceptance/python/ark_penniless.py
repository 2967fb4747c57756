"""The Ark SDK at a gateway whose accounts have no credits: it asks once (ark.md 1)."""

from __future__ import annotations

import time
from typing import Any

from steps import KEY, Case, is_, main, raised, step
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime._exceptions import ArkRateLimitError


def client_of(case: Case) -> Ark:
    return Ark(base_url=f"{case.root}/api/v3", api_key=KEY)


@step("picture")
def picture(case: Case) -> Any:
    images = client_of(case).images
    error = raised(
        ArkRateLimitError,
        lambda: images.generate(model="doubao-seedream-4-5-251128", prompt=case.prompt(), size="2K"),
    )
    is_(error.response.headers["x-should-retry"], "false")
    return error.code


@step("video")
def video(case: Case) -> Any:
    """A video is not waited for: it fails when it is asked for."""
    tasks = client_of(case).content_generation.tasks
    content = [{"type": "text", "text": case.prompt()}]
    task_id = tasks.create(model="doubao-seedance-2-0-260128", content=content, duration=4).id
    deadline = time.monotonic() + 20
    while (task := tasks.get(task_id=task_id)).status != "failed":
        assert time.monotonic() < deadline, task
        time.sleep(0.2)
    return task.error.code


if __name__ == "__main__":
    main()
