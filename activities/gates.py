"""Steps of a review: the gate and the verdict are on record before either takes effect."""

from dataclasses import dataclass

from temporalio import activity

import db.gates
from activities.resources import Resources
from contracts import ExpireGate, OpenGate, Verdict


@dataclass(frozen=True)
class GateActivities:
    resources: Resources

    @activity.defn
    def open_gate(self, gate: OpenGate) -> None:
        with self.resources.engine.begin() as connection:
            db.gates.open(connection, gate)

    @activity.defn
    def record_verdict(self, verdict: Verdict) -> bool:
        """False when the gate already ended otherwise."""
        with self.resources.engine.begin() as connection:
            return db.gates.record_verdict(connection, verdict)

    @activity.defn
    def expire_gate(self, request: ExpireGate) -> None:
        with self.resources.engine.begin() as connection:
            db.gates.expire(connection, request.gate_id)
