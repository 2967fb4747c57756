"""The Ark SDK's video tasks: create, get, list, delete (ark.md 2)."""

from __future__ import annotations

import asyncio
import base64
import time
import urllib.request
from typing import Any

from steps import DIRECT_URL, KEY, PICTURE, PICTURE_URL, Case, is_, main, raised, step, under_faults
from volcenginesdkarkruntime import Ark, AsyncArk
from volcenginesdkarkruntime._exceptions import (
    ArkAPIConnectionError,
    ArkAPIStatusError,
    ArkAuthenticationError,
    ArkBadRequestError,
    ArkConflictError,
    ArkNotFoundError,
)

MODEL = "doubao-seedance-2-0-260128"
ENDED = ("succeeded", "failed", "cancelled", "expired")
LONGEST_S = 40.0


def tasks_of(case: Case) -> Any:
    return Ark(base_url=f"{case.root}/api/v3", api_key=KEY).content_generation.tasks


def text(case: Case, rest: str = "a small cat") -> dict[str, Any]:
    return {"type": "text", "text": case.prompt(rest)}


def image(url: str, role: str | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **({"role": role} if role else {})}


def inline() -> str:
    return f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"


def create(case: Case, *content: dict[str, Any], **more: Any) -> str:
    """The id of a new task; the SDK sends every parameter that is not given as null."""
    asked = {"model": MODEL, "content": list(content) or [text(case)], "duration": 4, **more}
    return str(tasks_of(case).create(**asked).id)


def ended(case: Case, task_id: str) -> Any:
    """The task at its end."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        task = tasks_of(case).get(task_id=task_id)
        assert task.status in ("queued", "running", *ENDED), task.status
        if task.status in ENDED:
            return task
        time.sleep(0.3)
    raise AssertionError(f"{task_id} does not end")


def succeeded(case: Case, task_id: str) -> Any:
    """The task, which has succeeded and whose video can be had."""
    task = ended(case, task_id)
    is_((task.id, task.status, task.error), (task_id, "succeeded", None))
    assert isinstance(task.created_at, int)
    assert isinstance(task.updated_at, int)
    with urllib.request.urlopen(task.content.video_url) as file:
        is_(file.headers["content-type"], "video/mp4")
        is_(file.read(8)[4:], b"ftyp")
    return task


@step("create-and-get")
def create_and_get(case: Case) -> Any:
    task = succeeded(case, create(case, ratio="16:9", resolution="720p", watermark=False))
    is_((task.model, task.ratio, task.resolution, task.duration), (MODEL, "16:9", "720p", 4))
    assert isinstance(task.usage.completion_tokens, int)
    return [task.id, task.seed, task.framespersecond]


@step("create-by-async")
async def create_by_async(case: Case) -> Any:
    tasks = AsyncArk(base_url=f"{case.root}/api/v3", api_key=KEY).content_generation.tasks
    made = await tasks.create(model=MODEL, content=[text(case)], duration=4)
    return (await asyncio.to_thread(succeeded, case, made.id)).id


@step("create-with-text-flags")
def create_with_text_flags(case: Case) -> Any:
    """Older programs write the parameters behind the prompt (ark.md 2.4); a field stands over a flag."""
    made = tasks_of(case).create(
        model=MODEL, content=[text(case, "a cat --ratio 9:16 --dur 5 --wm false")], ratio="16:9"
    )
    task = succeeded(case, made.id)
    return is_([task.ratio, task.duration], ["16:9", 5])


@step("create-from-first-frame")
def create_from_first_frame(case: Case) -> Any:
    return succeeded(case, create(case, text(case), image(PICTURE_URL))).id


@step("create-from-first-and-last-frame")
def create_from_frames(case: Case) -> Any:
    frames = (image(PICTURE_URL, "first_frame"), image(inline(), "last_frame"))
    return succeeded(case, create(case, text(case), *frames)).id


@step("create-from-references")
def create_from_references(case: Case) -> Any:
    pictures = (image(PICTURE_URL, "reference_image"), image(inline(), "reference_image"))
    return succeeded(case, create(case, text(case), *pictures)).id


@step("create-from-frames-and-references")
def create_from_both(case: Case) -> Any:
    """The modes cannot be mixed (ark.md 2.3)."""
    pictures = (image(PICTURE_URL, "first_frame"), image(inline(), "reference_image"))
    return raised(ArkBadRequestError, lambda: create(case, text(case), *pictures)).code


@step("create-twice-on-purpose")
def create_twice(case: Case) -> Any:
    """Without the proxy, which would take a new connection for each of them, as a repetition does."""
    tasks = Ark(base_url=f"{DIRECT_URL}/api/v3", api_key=KEY).content_generation.tasks
    asked = {"model": MODEL, "content": [text(case)], "duration": 4}
    return is_(len({tasks.create(**asked).id for _ in range(3)}), 3)


@step("create-with-idempotency-key")
def create_with_key(case: Case) -> Any:
    headers = {"Idempotency-Key": f"{case.name}-1"}
    return is_(len({create(case, extra_headers=headers) for _ in range(2)}), 1)


@step("failed-in-the-end")
def failed_in_the_end(case: Case) -> Any:
    task = ended(case, create(case, text(case, "a cat [sim:reject-result]")))
    is_(task.status, "failed")
    assert isinstance(task.error.code, str)
    assert isinstance(task.error.message, str)
    return task.error.code


@step("list")
def listed(case: Case) -> Any:
    tasks = tasks_of(case)
    made = [create(case, text(case, f"cat number {number}")) for number in range(3)]
    for task_id in made:
        ended(case, task_id)
    chosen = tasks.list(page_num=1, page_size=10, task_ids=made[:2])
    is_((chosen.total, sorted(task.id for task in chosen.items)), (2, sorted(made[:2])))
    page = tasks.list(page_num=2, page_size=1, task_ids=made)
    is_((page.total, len(page.items)), (3, 1))
    good = tasks.list(page_num=1, page_size=50, status="succeeded", model=MODEL)
    assert set(made) <= {task.id for task in good.items}
    is_({task.status for task in good.items}, {"succeeded"})
    is_(tasks.list(status="failed", task_ids=made).total, 0)
    return good.total


@step("delete-ended")
def delete_ended(case: Case) -> Any:
    """The SDK reads the reply as JSON: an empty one would break it."""
    task_id = create(case)
    ended(case, task_id)
    tasks_of(case).delete(task_id=task_id)
    return raised(ArkNotFoundError, lambda: tasks_of(case).get(task_id=task_id)).code


@step("delete-running")
def delete_running(case: Case) -> Any:
    """Refused, and asked once: the SDK sends a plain 409 three times (ark.md 2.8)."""
    task_id = create(case, text(case, "a cat [sim:slow=400]"))
    deadline = time.monotonic() + LONGEST_S
    while tasks_of(case).get(task_id=task_id).status != "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    error = raised(ArkConflictError, lambda: tasks_of(case).delete(task_id=task_id))
    is_(error.response.headers["x-should-retry"], "false")
    return error.code


@step("get-unknown")
def get_unknown(case: Case) -> Any:
    return raised(ArkNotFoundError, lambda: tasks_of(case).get(task_id="cgt-none")).code


@step("wrong-key")
def wrong_key(case: Case) -> Any:
    tasks = Ark(base_url=f"{case.root}/api/v3", api_key="not-a-key").content_generation.tasks
    return raised(ArkAuthenticationError, lambda: tasks.create(model=MODEL, content=[text(case)])).code


@step("unknown-model")
def unknown_model(case: Case) -> Any:
    error = raised(ArkAPIStatusError, lambda: create(case, model="doubao-nothing-1-0"))
    assert error.status_code in (400, 404), error
    return [error.status_code, error.code]


@step("wrong-duration")
def wrong_duration(case: Case) -> Any:
    """Fields are looked at strictly."""
    return raised(ArkBadRequestError, lambda: create(case, duration=1000)).code


@step("unreachable-picture")
def unreachable_picture(case: Case) -> Any:
    missing = image(PICTURE_URL + ".nothing-there")
    return raised(ArkBadRequestError, lambda: create(case, text(case), missing)).code


# ── once, whatever the network does ──────────────────────────────────────────────────────────────


@under_faults("create", "refuse", "cut", "half")
def create_once(case: Case) -> Any:
    """What did not reach the gateway is sent again by the SDK itself."""
    return succeeded(case, create(case, text(case), image(inline()))).id


@under_faults("create-unheard", "refuse-after", "hangup", "lost")
def create_once_unheard(case: Case) -> Any:
    """This SDK marks its repetitions in no way; they are known by coming back at once on a new connection."""
    return succeeded(case, create(case, text(case), image(inline()))).id


@under_faults("create-with-key", "refuse-after", "hangup", "lost")
def create_once_with_key(case: Case) -> Any:
    """With a key of the caller it is known for sure."""
    headers = {"Idempotency-Key": case.name}
    return succeeded(case, create(case, text(case), image(inline()), extra_headers=headers)).id


@step("create-without-retries", "lost")
def create_without_retries(case: Case) -> Any:
    """Or the SDK is told not to repeat anything."""
    tasks = Ark(base_url=f"{case.root}/api/v3", api_key=KEY, max_retries=0).content_generation.tasks
    asked = {"model": MODEL, "content": [text(case)], "duration": 4}
    return str(raised(ArkAPIConnectionError, lambda: tasks.create(**asked)))


if __name__ == "__main__":
    main()
