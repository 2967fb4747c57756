"""What chat front ends send and read, field by field (openai-media.md 7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jimeng_gateway.http.schemas import Count, LooseSeconds, Seed, Strength, Word


class StreamOptions(msgspec.Struct, kw_only=True):
    """What a stream should hold besides the answer."""

    #: A last chunk with the usage, which is zero.
    include_usage: bool | None = None


class ChatCompletion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A picture or a video, asked for in a conversation: the model decides which.

    The text of the last user message is the prompt, its pictures, clips and sounds are the references.
    """

    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    model: Word | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    #: How many pictures, not how many answers: those are one.
    n: Count | None = None
    ratio: Word | None = None
    size: Word | None = None
    resolution: Word | None = None
    duration: LooseSeconds | None = None
    seed: Seed | None = None
    negative_prompt: str | None = None
    sample_strength: Strength | None = None
    intelligent_ratio: bool | None = None
    multi_image: bool | None = None
    #: Only "auto" and "none": no tool is ever called.
    tool_choice: Any = None
    #: Only text: the answer is Markdown and cannot be forced into JSON.
    response_format: Any = None
    #: Only text and images: there is no spoken answer.
    modalities: Any = None
    #: The rest belongs to language models; it is taken and has no effect.
    tools: Any = None
    functions: Any = None
    function_call: Any = None
    parallel_tool_calls: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    min_p: Any = None
    top_a: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    min_tokens: Any = None
    stop: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    repetition_penalty: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    prediction: Any = None
    verbosity: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    web_search_options: Any = None
    enable_search: Any = None
    search_options: Any = None
    reasoning: Any = None
    reasoning_effort: Any = None
    include_reasoning: Any = None
    thinking: Any = None
    enable_thinking: Any = None
    thinking_budget: Any = None
    incremental_output: Any = None
    chat_template_kwargs: Any = None
    keep_alive: Any = None
    options: Any = None
    usage: Any = None
    provider: Any = None
    plugins: Any = None
    transforms: Any = None
    id: Any = None
    chat_id: Any = None
    session_id: Any = None
    conversation_id: Any = None


class NoTokens(msgspec.Struct, kw_only=True):
    """Nothing is counted in tokens here."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class AssistantMessage(msgspec.Struct, kw_only=True):
    """The answer: Markdown."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(msgspec.Struct, kw_only=True):
    """The one answer."""

    index: int = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatReply(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    #: Seconds since the epoch.
    created: int
    model: str
    choices: list[Choice]
    usage: NoTokens
    #: Ours: what was made for the answer.
    task_id: str


class Delta(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a chunk adds."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    #: How it is going, for front ends that show how a model thinks.
    reasoning_content: str | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, kw_only=True):
    """What a chunk adds to the one answer."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: Literal["stop"] | None = None


class Chunk(msgspec.Struct, kw_only=True):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    #: Seconds since the epoch.
    created: int
    model: str
    choices: list[ChunkChoice]
    #: Only in the last chunk, and only if it was asked for.
    usage: NoTokens | UnsetType = UNSET
