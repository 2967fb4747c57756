"""Flags in the prompt: what they say, what is left of the prompt, and that nothing else of it is lost."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.http.ark.flags import Flags, without_flags


@pytest.mark.parametrize(
    ("text", "left", "said"),
    [
        ("a cat", "a cat", Flags()),
        ("a cat --ratio 16:9 --dur 5", "a cat", Flags(ratio="16:9", duration=5)),
        ("a cat --rt=9:16 --duration = 10", "a cat", Flags(ratio="9:16", duration=10)),
        ("a cat --rs 720p --fps 24", "a cat", Flags(resolution="720p", fps=24)),
        ("a cat --resolution 1080P", "a cat", Flags(resolution="1080p")),
        ("--seed 7 a cat", "a cat", Flags(seed=7)),
        ("a cat --seed -1 on a mat", "a cat on a mat", Flags(seed=-1)),
        ("a cat --frames 121 --framespersecond 24", "a cat", Flags(frames=121, fps=24)),
        ("a cat --cf true --wm false", "a cat", Flags(camera_fixed=True, watermark=False)),
        ("a cat --CameraFixed False --WaterMark 1", "a cat", Flags(camera_fixed=False, watermark=True)),
        ("a cat --ratio adaptive", "a cat", Flags(ratio="adaptive")),
        ("a cat --dur 5 --dur 8", "a cat", Flags(duration=8)),
        ("猫在跑 --dur 5，夜里", "猫在跑，夜里", Flags(duration=5)),
        ("one\ntwo --dur 5\nthree", "one\ntwo\nthree", Flags(duration=5)),
        # Loosely: what does not parse has no effect, and what is no value stays a word of the prompt.
        ("a cat --dur five", "a cat five", Flags()),
        ("a cat --dur 5s", "a cat", Flags()),
        ("a cat --dur 5.5 --rs 7", "a cat", Flags()),
        ("a cat --wm maybe", "a cat maybe", Flags()),
        ("a cat --cf walking", "a cat walking", Flags()),
        ("a cat --cf truely walking", "a cat truely walking", Flags()),
        ("a cat --dur --rs 720p 5", "a cat 5", Flags(resolution="720p")),
        ("a cat --dur", "a cat", Flags()),
        # No flags of Ark's.
        ("a cat --style anime", "a cat --style anime", Flags()),
        ("a cat --duration-of 5", "a cat --duration-of 5", Flags()),
        ("a cat--dur 5", "a cat--dur 5", Flags()),
        ("a cat -- ratio 16:9", "a cat -- ratio 16:9", Flags()),
        ("  spaces stay  ", "  spaces stay  ", Flags()),
    ],
)
def test_table(text: str, left: str, said: Flags) -> None:
    assert without_flags(text) == (left, said)


@pytest.mark.parametrize("text", ["a" + " " * 100_000 + "cat", "a --dur" + " " * 100_000 + "cat"])
def test_long_runs_of_spaces_are_read_in_no_time(text: str) -> None:
    began = time.process_time()
    left, said = without_flags(text)
    # Half a minute, when every space was a place for a flag to begin.
    assert time.process_time() - began < 2
    assert (left.split(), said) == (["a", "cat"], Flags())


_NAMES = ["resolution", "rs", "ratio", "rt", "duration", "dur", "frames", "framespersecond", "fps"]
_NAMES += ["seed", "camerafixed", "cf", "watermark", "wm"]
_PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from([" ", "  ", "\n", "=", "--", "-", "5", "16:9", "true", "720p", "adaptive", "猫", "，"]),
    st.sampled_from([f"--{name}" for name in _NAMES]),
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_flag_stays_and_no_word_is_lost(text: str) -> None:
    left, _ = without_flags(text)
    assert without_flags(left) == (left, Flags())
    lost = list(text)
    for letter in left:
        lost.remove(letter)
    known = "|".join(_NAMES)
    flags = re.findall(rf"--(?:{known})(?=[\s=]|$)[^\S\n]*(?:[\s=]+\S*)?", text, re.IGNORECASE)
    assert not "".join(lost).strip() or flags


@given(st.text(max_size=60).filter(lambda text: "--" not in text))
def test_a_prompt_without_flags_stays_as_it_is(text: str) -> None:
    assert without_flags(text) == (text, Flags())


@given(
    st.integers(1, 60),
    st.integers(-1, 2**32 - 1),
    st.sampled_from(["16:9", "adaptive"]),
    st.permutations([0, 1, 2]),
)
def test_what_is_said_is_read_in_any_order(seconds: int, seed: int, ratio: str, order: list[int]) -> None:
    flags = [f"--dur {seconds}", f"--seed {seed}", f"--rt {ratio}"]
    text = " ".join(["a cat", *(flags[place] for place in order)])
    assert without_flags(text) == ("a cat", Flags(duration=seconds, seed=seed, ratio=ratio))
