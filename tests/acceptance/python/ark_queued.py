"""The Ark SDK at a gateway with no account: what waits can be cancelled (ark.md 2.8)."""

from __future__ import annotations

from typing import Any

from steps import KEY, Case, is_, main, raised, step
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime._exceptions import ArkConflictError


@step("delete-queued")
def delete_queued(case: Case) -> Any:
    tasks = Ark(base_url=f"{case.root}/api/v3", api_key=KEY).content_generation.tasks
    content = [{"type": "text", "text": case.prompt()}]
    task_id = tasks.create(model="doubao-seedance-2-0-260128", content=content, duration=4).id
    is_(tasks.get(task_id=task_id).status, "queued")
    tasks.delete(task_id=task_id)
    is_(tasks.get(task_id=task_id).status, "cancelled")
    return raised(ArkConflictError, lambda: tasks.delete(task_id=task_id)).code


if __name__ == "__main__":
    main()
