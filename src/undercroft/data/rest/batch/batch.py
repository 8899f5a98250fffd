"""Runs a batch: every step as its caller, in one transaction, all of it or nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import orjson

from undercroft.data.rest import media
from undercroft.data.rest.answers import AnswerStore, Key
from undercroft.data.rest.batch.errors import step_error, too_long
from undercroft.data.rest.batch.references import resolve, resolve_where
from undercroft.data.rest.batch.requests import write_request
from undercroft.data.rest.batch.steps import REF, Step, read_steps
from undercroft.data.rest.config import RestConfig
from undercroft.data.rest.errors import RestError, from_postgres
from undercroft.data.rest.execute import Executor, Job, Result, RowCountError, check_bounds, undone
from undercroft.data.rest.pool import Foreign, Session, StatementsGone
from undercroft.data.rest.recipes import Caller, job_of, row_count_refused
from undercroft.data.rest.request import HttpRequest
from undercroft.data.rest.response import Response
from undercroft.data.rest.understanding import Understanding
from undercroft.data.rest.understood import Understood
from undercroft.foundation.db import StatementFailed

PATH = "/batch"
# A connection is not lent for longer, whatever each statement may take.
LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch as it came, with its `key` when it is to be done once."""

    request: HttpRequest
    caller: Caller
    understanding: Understanding
    steps: Sequence[Step]
    has_references: bool
    dry_run: bool
    key: Key | None


class Batch:
    """Answers `POST /batch` with the engine's own parts."""

    def __init__(
        self, executor: Executor, config: RestConfig, answers: AnswerStore | None = None
    ) -> None:
        self._executor = executor
        self._config = config
        self._answers = answers
        # What its steps run need not be told apart: a batch is worth a round trip.
        self._foreign = Foreign.DYNAMIC if config.cleans_sessions else Foreign.NONE

    async def answer(
        self, request: HttpRequest, caller: Caller, body: bytes, understanding: Understanding
    ) -> Response:
        """Run the batch. Raises RestError, with the step it is about."""
        asked = self._read(request, caller, body, understanding)
        try:
            return await self._attempt(asked)
        except RestError as error:
            if not isinstance(error.__cause__, StatementsGone):
                raise
            # A step deallocates what later ones need, and so it will: nothing may be prepared.
            return await self._attempt(asked, prepared=False)

    async def _attempt(self, asked: Asked, *, prepared: bool = True) -> Response:
        try:
            with await self._executor.lend(asked.caller.role, self._foreign) as session:
                if not prepared:
                    session.prepare_nothing()
                async with asyncio.timeout(LONGEST_SECONDS):
                    answered = await undone(session, self._transaction(session, asked))
                if not prepared:
                    session.pipeline.close()
                return answered
        except TimeoutError as error:
            raise too_long(LONGEST_SECONDS) from error
        except StatementFailed as error:  # at the commit: a deferred constraint
            raise self._refused(error, asked.caller) from error

    def _read(
        self, request: HttpRequest, caller: Caller, body: bytes, understanding: Understanding
    ) -> Asked:
        options = parse_qs(request.query.decode("latin-1"), keep_blank_values=True)
        dry_run = options.get("dry_run", ["false"])[-1].lower() not in ("false", "0", "no")
        key = self._answers.key_of(request, body) if self._answers and not dry_run else None
        has_references = f'"{REF}"'.encode() in body
        steps = read_steps(body)
        return Asked(request, caller, understanding, steps, has_references, dry_run, key)

    async def _transaction(self, session: Session, asked: Asked) -> Response:
        session.pipeline.query("begin")
        run = partial(self._run, session, asked)
        if self._answers and asked.key:
            response = await self._answers.once(session, asked.key, run)
        else:
            response = await run()
        await self._executor.end(session, self._foreign, rolls_back=asked.dry_run)
        return response

    async def _run(self, session: Session, asked: Asked) -> Response:
        results: dict[str, bytes] = {}
        answers = []
        for number, step in enumerate(asked.steps):
            try:
                answered, rows = await self._step(session, asked, step, results, number)
            except RestError as error:
                raise step_error(error, number, step.ref) from error
            if step.ref:
                results[step.ref] = rows
            answers.append(answered)
        body = orjson.dumps({"dry_run": asked.dry_run, "steps": answers})
        headers = [(b"content-type", media.MediaType(media.JSON).content_type)]
        return Response(200, headers, body)

    async def _step(
        self,
        session: Session,
        asked: Asked,
        step: Step,
        results: dict[str, bytes],
        number: int,
    ) -> tuple[dict[str, Any], bytes]:
        if asked.has_references:
            update = {
                "body": resolve(step.body, results),
                "where": resolve_where(step.where, results),
            }
            step = step.model_copy(update=update)
        understood, job = self._understand(asked, step, first=number == 0)
        result = await self._execute(session, understood, job, asked.caller)
        answered: dict[str, Any] = {"op": step.op, "ref": step.ref, "count": result.page}
        rows = result.body or b"null"
        if result.body is not None:
            answered["result" if step.op == "call" else "rows"] = orjson.Fragment(rows)
        return answered, rows

    def _understand(self, asked: Asked, step: Step, *, first: bool) -> tuple[Understood, Job]:
        caller, around = asked.caller, asked.request
        request, resource, body = write_request(step, around)
        schema = asked.understanding.schema(step.schema_name or None)
        understood, values = asked.understanding.understand(
            request, resource, schema, body, caller.role
        )
        settings = understood.recipe.settings
        if not first:
            # Back to the login role, from which everything below is set again.
            settings = (("role", "none"), *settings)
        recipe = replace(
            understood.recipe,
            method=around.method,
            settings=settings,
            read_only=False,
            isolation=None,
        )
        return understood, job_of(recipe, values, around, caller)

    async def _execute(
        self, session: Session, understood: Understood, job: Job, caller: Caller
    ) -> Result:
        try:
            self._executor.enter(session, job)
            result = await self._executor.fetch(session, job)
            check_bounds(result.page, job.recipe)
        except RowCountError as error:
            raise row_count_refused(understood.intent, understood.compiled, error.rows) from error
        except StatementFailed as error:
            raise self._refused(error, caller) from error
        return result

    def _refused(self, error: StatementFailed, caller: Caller) -> RestError:
        return from_postgres(error, anonymous=caller.role == self._config.anon_role)
