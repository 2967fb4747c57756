"""From a conversation to a wish: what is the prompt, what are references, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from http_client import make
from http_fake import FakeGateway
from support.aio import run
from test_http_chat import CHAT, DATA, asked, finished, parts

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Media, Role
from jimeng_gateway.http.givens import Given
from jimeng_gateway.http.openai.chat_messages import prompt_of, unpack


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([{"role": "user", "content": "a cat"}], "a cat"),
        ([{"role": "system", "content": "be brief"}, {"role": "user", "content": "a cat"}], "a cat"),
        (
            [
                {"role": "user", "content": "a dog"},
                {"role": "assistant", "content": "![image](http://x/1.png)"},
                {"role": "user", "content": "a cat"},
            ],
            "a cat",
        ),
        ([{"role": "user", "content": "a cat"}, {"role": "system", "content": "be brief"}], "a cat"),
        (parts({"type": "text", "text": "a cat"}, {"type": "text", "text": "at night"}), "a cat\nat night"),
        (parts({"type": "input_text", "text": "a cat"}), "a cat"),
        ([{"role": "user", "content": "### Task: paint\na cat"}], "### Task: paint\na cat"),
    ],
)
def test_the_last_user_message_is_the_prompt(messages: list[dict[str, Any]], prompt: str) -> None:
    assert prompt_of(messages) == prompt


@pytest.mark.parametrize(
    ("messages", "code", "word"),
    [
        ([{"role": "assistant", "content": "hi"}], "invalid_request", "role `user`"),
        ([{"role": "user", "content": " \n"}], "invalid_request", "no text"),
        ([{"role": "user", "content": None}], "invalid_request", "list of parts"),
        ([{"role": "user"}], "invalid_request", "list of parts"),
        (parts({"text": "x"}), "invalid_request", "no `type`"),
        (parts({"type": "text"}), "invalid_request", "needs a `text`"),
        (parts({"type": "refusal", "refusal": "no"}), "not_supported", "`refusal`"),
        (
            [{"role": "user", "content": "### Task:\nGenerate a title.\n<chat_history>\nUSER: a cat\n"}],
            "not_supported",
            "Open WebUI",
        ),
    ],
)
def test_what_is_no_prompt_is_refused(messages: list[dict[str, Any]], code: str, word: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        prompt_of(messages)
    assert (refusal.value.code, refusal.value.param) == (code, "messages")
    assert word in refusal.value.message


@pytest.mark.parametrize(
    ("part", "given"),
    [
        (
            {"type": "image_url", "image_url": {"url": "http://a/1.png", "detail": "high"}},
            Given(url="http://a/1.png", kind=Media.IMAGE),
        ),
        ({"type": "image_url", "image_url": "HTTPS://a/1"}, Given(url="HTTPS://a/1", kind=Media.IMAGE)),
        ({"type": "image_url", "image_url": {"url": DATA}}, Given(data=DATA, kind=Media.IMAGE)),
        ({"type": "input_image", "image_url": DATA}, Given(data=DATA, kind=Media.IMAGE)),
        (
            {"type": "input_image", "file_id": "file_0123456789abcdefghjkmn"},
            Given(file_id="file_0123456789abcdefghjkmn", kind=Media.IMAGE),
        ),
        (
            {"type": "image_url", "image_url": "http://a/1.png", "role": "first_frame"},
            Given(url="http://a/1.png", role=Role.FIRST_FRAME, kind=Media.IMAGE),
        ),
        (
            {"type": "video_url", "video_url": {"url": "http://a/1.mp4"}, "role": "reference_video"},
            Given(url="http://a/1.mp4", kind=Media.VIDEO),
        ),
        ({"type": "audio_url", "audio_url": "http://a/1"}, Given(url="http://a/1", kind=Media.AUDIO)),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            Given(data="UklGRg==", kind=Media.AUDIO),
        ),
        (
            {"type": "file", "file": {"filename": "cat.png", "file_data": DATA}},
            Given(data=DATA, name="cat.png"),
        ),
    ],
)  # fmt: skip
def test_parts_are_references(part: dict[str, Any], given: Given) -> None:
    text = {"type": "text", "text": "a cat"}
    left, givens = unpack({"messages": parts(part, text), "n": 1})
    assert (left, list(givens)) == ({"messages": parts(text), "n": 1}, [given])


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"detail": "high"}},
        {"type": "image_url", "image_url": 7},
        {"type": "image_url", "image_url": "http://a/1.png", "role": "hero"},
        {"type": "image_url", "image_url": "http://a/1.png", "role": ["first_frame"]},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
        {"type": "file", "file": {"filename": "x.png"}},
    ],
)
def test_parts_without_their_bytes_are_refused(part: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        unpack({"messages": parts(part)})
    assert refusal.value.param == "messages"


def test_only_the_last_message_is_unpacked() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://a/1.png"}}
    earlier = parts(image, {"type": "text", "text": "a dog"})
    messages = [*earlier, {"role": "user", "content": "a cat"}]
    assert unpack({"messages": messages}) == ({"messages": messages}, ())


def test_what_front_ends_send_is_taken(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished(gateway, tmp_path)
        usual = {
            "temperature": 0.7,
            "top_p": 1,
            "max_tokens": 100,
            "max_completion_tokens": 100,
            "stop": ["x"],
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "logit_bias": {},
            "user": "u",
            "stream": False,
            "stream_options": {"include_usage": True},
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "tool_choice": "auto",
            "response_format": {"type": "text"},
            "modalities": ["text", "image"],
            "reasoning_effort": "low",
            "enable_thinking": True,
            "metadata": {"a": "b"},
            "store": False,
        }
        sent = asked(
            "a cat",
            **usual,
            ratio="16:9",
            resolution="2k",
            n=2,
            seed=7,
            negative_prompt="dogs",
            sample_strength=0.4,
        )
        answer = await make(gateway).post(CHAT, sent)
        assert answer.status == 200, answer.body
        assert gateway.wishes == [
            Wish(
                "a cat",
                "jimeng-4.5",
                n=2,
                ratio="16:9",
                resolution="2k",
                seed=7,
                negative_prompt="dogs",
                sample_strength=0.4,
            )
        ]

    run(main())


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"colour": "red"}, "colour"),
        ({"messages": []}, "messages"),
        ({"messages": "a cat"}, "messages"),
        # A model that is let go on, or is handed what a tool said, would be paid for once more.
        (
            {"messages": [{"role": "user", "content": "a cat"}, {"role": "assistant", "content": "a"}]},
            "messages",
        ),
        ({"messages": [{"role": "user", "content": "a cat"}, {"role": "tool", "content": "42"}]}, "messages"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_honoured_is_refused_before_the_first_byte(
    tmp_path: Path, more: dict[str, Any], param: str, stream: bool
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        answer = await make(gateway).post(CHAT, {**asked(), "stream": stream, **more})
        assert (answer.status, answer.error["param"]) == (400, param), answer.body
        assert (answer.header("x-should-retry"), gateway.wishes) == ("false", [])

    run(main())
