"""The OpenAI door under /v1: pictures, videos, models and chat for the official SDKs (openai-media.md)."""

from __future__ import annotations

#: By which tasks of this door are known; chat has its own.
DOOR = "openai"
