"""Results: where their files are, and links that open them without a key."""

from __future__ import annotations

from pathlib import Path

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.task import Task
from jimeng_gateway.gateway.desk import LOCAL
from jimeng_gateway.gateway.tasks import TaskDesk


class ResultDesk(TaskDesk):
    """What has been made."""

    def content(self, task: Task, index: int) -> Path:
        """The file of a result; NotFound as long as there is none."""
        for result in task.results:
            if result.index == index and result.file is not None:
                return self._parts.files.path(result.file)
        if not task.terminal:
            raise NotFound(f"the task is still {task.stage}; it has no results yet", retryable=True)
        raise NotFound(f"the task has no result {index}")

    def link_signature(self, task_id: str, index: int) -> str:
        """Lets one result be opened without a key."""
        return self._parts.vault.sign(f"content {task_id} {index}")

    def link_valid(self, task_id: str, index: int, signature: str) -> bool:
        """Whether the signature belongs to this result."""
        return self._parts.vault.signed(f"content {task_id} {index}", signature)

    async def task_for_link(self, task_id: str) -> Task:
        """The task of a link whose signature was found valid."""
        return await self.task(LOCAL, task_id)
