"""What may be a job, an event and a payload; no database."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from undercroft.foundation.jobs import (
    JobContext,
    JobRegistry,
    PayloadInvalid,
    job,
    schedule,
    subscribes,
)


@job("test.greet")
async def greet(
    context: JobContext, user_id: UUID, times: int, note: str | None, loud: bool = False
) -> None: ...


@job("test.sweep")
async def sweep(context: JobContext) -> None: ...


class TestPayload:
    def test_survives_the_queue(self):
        sent = {"user_id": uuid4(), "times": 3, "note": None, "loud": True}
        assert greet.payload.decode(greet.payload.encode(sent)) == sent

    def test_leaves_defaults_to_the_function(self):
        sent = {"user_id": uuid4(), "times": 3, "note": "hi"}
        assert greet.payload.decode(greet.payload.encode(sent)) == sent

    @pytest.mark.parametrize(
        ("wrong", "word"),
        [
            ({"user_id": "4b0f61c6-9a3a-4d57-8fb4-0a6d4a1c5d3e"}, "user_id"),
            ({"times": "3"}, "times"),
            ({"times": True}, "times"),
            ({"note": b"bytes"}, "note"),
            ({"loud": 1}, "loud"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_refuses_what_the_signature_does_not_say(self, wrong, word):
        values = {"user_id": uuid4(), "times": 3, "note": None} | wrong
        with pytest.raises(PayloadInvalid, match=word):
            greet.payload.encode(values)

    def test_refuses_a_missing_argument(self):
        with pytest.raises(PayloadInvalid, match="times"):
            greet.payload.encode({"user_id": uuid4(), "note": None})

    def test_does_not_repeat_the_refused_value(self):
        with pytest.raises(PayloadInvalid) as refusal:
            greet.payload.encode({"user_id": uuid4(), "times": "hunter2", "note": None})
        assert "hunter2" not in str(refusal.value)
        assert refusal.value.__cause__ is None


class TestJob:
    @pytest.mark.parametrize("name", ["greet", "Test.greet", "test.", "test greet", ""])
    def test_is_named_wing_and_verb(self, name):
        with pytest.raises(ValueError, match="not a job name"):
            job(name)(sweep.function)

    def test_is_asynchronous(self):
        with pytest.raises(TypeError, match="async"):
            job("test.sync")(print)

    def test_carries_no_objects(self):
        async def send(context: JobContext, user: dict[str, str]) -> None: ...

        with pytest.raises(TypeError, match="'user' must be str, int, bool, UUID or None"):
            job("test.send")(send)

    @pytest.mark.parametrize("name", ["password", "reset_token", "client_secret", "otp"])
    def test_carries_no_secrets(self, name):
        scope = {"JobContext": JobContext}
        exec(f"async def send(context: JobContext, {name}: str) -> None: ...", scope)
        with pytest.raises(TypeError, match="looks like a secret"):
            job("test.send")(scope["send"])

    def test_leaves_the_names_that_enqueue_takes(self):
        async def remind(context: JobContext, at: int) -> None: ...

        with pytest.raises(TypeError, match="argument of enqueue"):
            job("test.remind")(remind)


class TestSchedule:
    def test_refuses_a_wrong_expression(self):
        with pytest.raises(ValueError, match="not a cron expression"):
            schedule(sweep, cron="at noon")

    def test_refuses_a_job_that_needs_arguments(self):
        with pytest.raises(PayloadInvalid):
            schedule(greet, cron="0 * * * *")


class TestEvent:
    def test_is_frozen(self):
        @dataclass
        class UserLeft:
            user_id: UUID

        with pytest.raises(TypeError, match="frozen dataclass"):
            subscribes(UserLeft, "test.wave")(sweep.function)

    def test_carries_no_secrets(self):
        @dataclass(frozen=True)
        class TokenMade:
            token: str

        with pytest.raises(TypeError, match="looks like a secret"):
            subscribes(TokenMade, "test.wave")(sweep.function)


class TestRegistry:
    def test_refuses_two_jobs_of_one_name(self):
        twin = job("test.sweep")(sweep.function)
        with pytest.raises(ValueError, match="Two jobs are called"):
            JobRegistry(jobs=[sweep, twin])

    def test_refuses_a_schedule_of_an_unknown_job(self):
        with pytest.raises(LookupError, match=r"test\.sweep is not registered"):
            JobRegistry(schedules=[schedule(sweep, cron="0 * * * *")])
