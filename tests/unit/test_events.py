import os

import pytest

from rl.events import EventReader, Events


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_events_arrive_in_order_and_reading_never_blocks(pipe):
    reader, events = EventReader(pipe[0]), Events(pipe[1])
    assert reader.read() == []
    events.wait("for rain", 5.0)
    events.say("it rains")
    events.warn("it pours")
    events.item("umbrella", False, "has a hole")
    first, second, third, fourth = reader.read()
    assert (first.kind, first.content) == ("wait", {"reason": "for rain", "deadline_s": 5.0})
    assert (second.kind, second.content) == ("say", {"text": "it rains"})
    assert (third.kind, third.content) == ("warn", {"text": "it pours"})
    assert (fourth.kind, fourth.content) == (
        "item", {"what": "umbrella", "ok": False, "detail": "has a hole"},
    )  # fmt: skip


def test_half_a_line_waits_for_its_other_half(pipe):
    reader = EventReader(pipe[0])
    os.write(pipe[1], b'{"kind": "say", ')
    assert reader.read() == []
    os.write(pipe[1], b'"text": "whole"}\n')
    (event,) = reader.read()
    assert event.content == {"text": "whole"}


def test_any_text_goes_through_the_pipe(pipe):
    text = "half a pair \ud800, a line\nand \u2028 one more"
    Events(pipe[1]).warn(text)
    (event,) = EventReader(pipe[0]).read()
    assert event.content == {"text": text}
