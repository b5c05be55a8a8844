"""The wait for a person: one gate at a time, opened for a candidate that a check has stopped (paper §2.2, design §4)."""

import hashlib
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError

from contracts import Decision, Evaluation, ExpireGate, Gates, OpenGate, RunIds, Verdict, VerdictReply
from workflows import policies, verdicts

with workflow.unsafe.imports_passed_through():
    from activities.gates import GateActivities


def gate_id(run: RunIds, attempt: int, table: int, evaluation: Evaluation) -> str:
    """Names one candidate of one attempt under one evaluation, so that no verdict can hit another.

    Of named fields only: a field that is added to `Evaluation` must not rename the gates that wait.
    """
    judged = (evaluation.exact_match_rate, evaluation.recall, evaluation.test_triples, evaluation.failed_gates)
    candidate = (run.workflow_id, run.run_id, attempt, table, *judged)
    return hashlib.sha256(repr(candidate).encode()).hexdigest()[:12]


class Review:
    """State of the gate inside a running workflow.

    Attributes:
        gate: the open gate, if one waits.
        ignored: why each verdict that changed nothing changed nothing, oldest first.
    """

    def __init__(self) -> None:
        self.gate: OpenGate | None = None
        self.ignored: list[str] = []
        self._closed: set[str] = set()
        self._taken: Verdict | None = None
        self._stored: Verdict | None = None

    async def submit(self, raw: Any) -> VerdictReply:
        """Take a verdict from either door: store it, then let it act."""
        verdict = verdicts.parse(raw)
        if isinstance(verdict, str):
            return self._ignore(verdict)
        reason = verdicts.refusal(verdict, self.gate.gate_id if self.gate else None, self._closed, self._taken)
        if reason:
            return self._ignore(reason)
        self._taken = verdict
        try:
            stored = await workflow.execute_activity_method(GateActivities.record_verdict, verdict, **policies.record)
        except ActivityError as error:
            self._taken = None
            return self._ignore(f"the verdict could not be stored: {error.cause}")
        if not stored:
            self._taken = None
            return self._ignore(f"gate {verdict.gate_id} already has another verdict in Postgres")
        self._stored = verdict
        return VerdictReply(accepted=True, message=f"{verdict.decision} by {verdict.reviewer}")

    async def open(self, gate: OpenGate) -> None:
        """Put the gate on record; from now on it takes a verdict."""
        await workflow.execute_activity_method(GateActivities.open_gate, gate, **policies.record)
        self.gate = gate
        workflow.logger.warning("candidate waits for review", extra=_fields(gate))

    async def decide(self, gate: OpenGate, knobs: Gates) -> Decision | Literal["expired"]:
        """Remind until the open gate is decided or expires, and close it. An unanswered gate publishes nothing."""
        while self._stored is None and (left := gate.expires_at - workflow.now()) > timedelta(0):
            try:
                await workflow.wait_condition(lambda: self._stored is not None, timeout=min(left, knobs.remind_every))
            except TimeoutError:
                workflow.logger.warning("candidate still waits for review", extra=_fields(gate))
        # A verdict that is being stored when the gate expires was given in time.
        await workflow.wait_condition(lambda: self._stored is not None or self._taken is None)
        decision = self._stored.decision if self._stored else None
        self._closed.add(gate.gate_id)
        self.gate = self._taken = self._stored = None
        if decision is None:
            await workflow.execute_activity_method(GateActivities.expire_gate, ExpireGate(gate.gate_id), **policies.record)
        return decision or "expired"

    def _ignore(self, reason: str) -> VerdictReply:
        workflow.logger.warning("verdict ignored: %s", reason)
        self.ignored.append(reason)
        return VerdictReply(accepted=False, message=reason)


def _fields(gate: OpenGate) -> dict[str, Any]:
    return {"gate_id": gate.gate_id, "table": gate.table, "failed_gates": list(gate.evaluation.failed_gates)}
