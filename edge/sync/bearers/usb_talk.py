"""What a courier command and the service beside it say to each other, typed: a question, its answer or a refusal.

Node and hub have their own questions; how they are asked, answered and refused is the same and stands here.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from edge.model.errors import Refusal, UpkendraError
from edge.sync.courier import CourierRefused

from .usb_control import Answerer, ControlClient

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Wanted = TypeVar("Wanted")
_encode = msgspec.msgpack.Encoder().encode
_NOT_UNDERSTOOD = Refusal("bad_input", "This question is not understood here. Update the service.")
_FAILED = Refusal("courier_failed", "The running service could not do this; its log says why. Try again.")
logger = logging.getLogger("upkendra.sync")


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The answer to a question that was refused; a member of every union of answers."""

    refusal: Refusal


class CourierFailed(UpkendraError):
    """The running service refused, or could not do, what the courier asked. The stick is as it was."""

    code = "courier_failed"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Asker(Generic[Question]):
    """The command's side. ``answers`` decodes the union of all answers, :class:`Failed` among them."""

    def __init__(self, client: ControlClient, answers: msgspec.msgpack.Decoder[object]) -> None:
        self._client = client
        self._answers = answers

    async def ask(self, question: Question, wanted: type[Wanted]) -> Wanted:
        """Raises CourierRefused for a file that is refused, CourierFailed, ControlRefused."""
        raw = await self._client.ask(_encode(question))
        try:
            answer = self._answers.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            answer = None
        if isinstance(answer, wanted):
            return answer
        if not isinstance(answer, Failed):
            raise CourierFailed(Refusal("courier_failed", "The running service is of another release. Restart it."))
        if answer.refusal.code.startswith(("courier_", "update_")):
            raise CourierRefused(answer.refusal.message, code=answer.refusal.code)
        raise CourierFailed(answer.refusal)


def answerer(questions: msgspec.msgpack.Decoder[Question], answer: Callable[[Question], Awaitable[object]]) -> Answerer:
    """The service's side: bytes of a question → bytes of its answer; what we refuse is an answer as well."""

    async def reply(body: bytes) -> bytes:
        try:
            return _encode(await answer(questions.decode(body)))
        except UpkendraError as error:
            return _encode(Failed(error.refusal))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _encode(Failed(_NOT_UNDERSTOOD))
        except Exception:
            logger.exception("a courier's question could not be answered")
            return _encode(Failed(_FAILED))

    return reply
