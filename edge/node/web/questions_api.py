"""Handler of the reviewed questions for complaints."""

import asyncio

from edge.node import questions
from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Call, Route


class QuestionsApi:
    """The guided questions of one node's folder."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def get_questions(self, call: Call[None, None]) -> questions.Guided:
        """Questions to ask for a complaint, as a clinician has reviewed them; none are shipped."""
        return await asyncio.to_thread(questions.load, self._clinic.folder)

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [Route("GET", "/api/questions", self.get_questions, reply=questions.Guided, errors=(423,))]
