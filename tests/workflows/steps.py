"""Activities that record their requests instead of computing, for runs of the real workflows."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from temporalio import activity

from driftline.contracts import (
    Action,
    AnsweredRef,
    AnswerPairs,
    AssignmentRef,
    AssignNewItems,
    BadInput,
    CadenceDecision,
    CatalogueRef,
    ClosedReview,
    ClusterSetRef,
    CountsRef,
    CountTriples,
    CurateSamples,
    CurateValidation,
    DecideDay,
    Delivery,
    EmbedCatalogue,
    EmbeddingsRef,
    EncoderRef,
    EndExperiment,
    Evaluate,
    Evaluation,
    ExperimentRef,
    ExpireReview,
    FindModel,
    FindNewItems,
    FindReview,
    FindShipped,
    Fitted,
    GenerateMapping,
    ItemSequencesRef,
    ListSuccessors,
    MappingRef,
    MeasureAnswers,
    MeasureDay,
    MeasuredDay,
    MeasureDrift,
    MeasureExperiment,
    MeasureHits,
    MeasurementRef,
    MeasurePolicy,
    MeasureQuality,
    MeasureStaleness,
    ModelRef,
    NewItems,
    Notification,
    OpenReview,
    PlaceItems,
    PromptsRef,
    Publish,
    Published,
    ReadItemSequences,
    RecommenderRef,
    RegisterExperiment,
    RenderPrompts,
    ReportRef,
    SamplesRef,
    Shipped,
    Source,
    StoreTable,
    SuccessorsRef,
    Supersede,
    TableRef,
    Tell,
    Train,
    TrainEncoder,
    ValidationRef,
    Verdict,
    WatchInput,
    WriteReport,
)

GOOD = Evaluation(
    exact_match_rate=0.97,
    recall=0.08,
    recall_low=0.075,
    recall_chance=0.045,
    recall_popular=0.07,
    recall_frequent=0.09,
    test_triples=1000,
    coverage=20,
)
BAD = replace(
    GOOD, exact_match_rate=0.4, failed_gates=("exact_match_rate",), reasons={"exact_match_rate": "exact match 40 % < 90 %"}
)


@dataclass
class Steps:
    """Every activity by its real name; `asked` is what a run did, in order.

    Attributes:
        real: activities to run instead of those of the same name.
        tables: versions that `store_table` gives, one after another.
        told: what people were told.
        targets: what becomes of a notification, attempt by attempt; the last is repeated.
        due: what the watch finds.
    """

    real: list[Any] = field(default_factory=list)
    told: list[Notification] = field(default_factory=list)
    targets: list[list[Delivery]] = field(default_factory=lambda: [[]])
    due: list[Notification] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    evaluations: list[Evaluation] = field(default_factory=lambda: [GOOD])
    asked: list[tuple[str, Any]] = field(default_factory=list)
    store_verdict: bool = True
    hold_open: asyncio.Event | None = None
    """Postgres has the review from the start; the run hears so when this is set."""
    hold_verdict: asyncio.Event | None = None
    refuses: str = ""
    refuse_verdict: Exception | None = None
    hold_publication: asyncio.Event | None = None
    publication: Literal["published", "superseded", "revoked"] = "published"
    assignment: int | None = None
    """The newest of the cluster set."""
    new_items: int = 0
    closed: ClosedReview | None = None
    """What Postgres has on the review."""
    bad_days: tuple[int, ...] = ()
    """Days of an experiment that cannot be measured."""
    action: Action = "none"
    """What the cadence decides."""

    async def reached(self, step: str) -> None:
        """Returns when a run has come to the step; it may not have heard of its end."""
        while step not in self.names():
            await asyncio.sleep(0.05)

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    def of(self, name: str) -> list[Any]:
        return [request for asked, request in self.asked if asked == name]

    def activities(self) -> list[Any]:
        def note(name: str, request: Any) -> None:
            self.asked.append((name, request))

        @activity.defn
        async def resolve_cluster_set(version: int | None) -> ClusterSetRef:
            note("resolve_cluster_set", version)
            return ClusterSetRef(version or 1, 24, 100, self.assignment)

        @activity.defn
        async def read_new_items(request: FindNewItems) -> NewItems:
            note("read_new_items", request)
            found = CatalogueRef("file:///c", "c", self.new_items, self.new_items)
            return NewItems(AssignmentRef(request.cluster_set, self.assignment, 0), "minilm", found if self.new_items else None)

        @activity.defn
        async def embed_catalogue(request: EmbedCatalogue) -> EmbeddingsRef:
            note("embed_catalogue", request)
            return EmbeddingsRef("file:///e", "e")

        @activity.defn
        async def read_catalogue(request: Source) -> CatalogueRef:
            note("read_catalogue", request)
            return CatalogueRef("file:///c", "c", 120, 100)

        @activity.defn
        async def read_item_sequences(request: ReadItemSequences) -> ItemSequencesRef:
            note("read_item_sequences", request)
            return ItemSequencesRef("file:///i", "i", 100, 1000, 120)

        @activity.defn
        async def train_encoder(request: TrainEncoder) -> EncoderRef:
            note("train_encoder", request)
            return EncoderRef("file:///t", "t")

        @activity.defn
        async def place_items(request: PlaceItems) -> RecommenderRef:
            note("place_items", request)
            return RecommenderRef(1, request.cluster_set, "file:///r", "r", 120, 3, 0.0)

        @activity.defn
        async def assign_new_items(request: AssignNewItems) -> AssignmentRef:
            note("assign_new_items", request)
            return AssignmentRef(request.cluster_set, (self.assignment or 0) + 1, self.new_items)

        @activity.defn
        async def count_triples(request: CountTriples) -> CountsRef:
            note("count_triples", request)
            return CountsRef(len(self.of("count_triples")), request.window, 10, 3, 8, 7)

        @activity.defn
        async def newest_approved(request: FindModel) -> ModelRef:
            note("newest_approved", request)
            return ModelRef(7, 3, "tiny", "file:///a", "h")

        @activity.defn
        async def trained_before(request: FindModel) -> ModelRef:
            note("trained_before", request)
            return ModelRef(7, 3, "tiny", "file:///a", "h")

        @activity.defn
        async def list_successors(request: ListSuccessors) -> SuccessorsRef:
            note("list_successors", request)
            return SuccessorsRef("file:///l", "l", request.window, 3, 8)

        @activity.defn
        async def measure_drift(request: MeasureDrift) -> MeasurementRef:
            note("measure_drift", request)
            return MeasurementRef(1, "drift")

        @activity.defn
        async def measure_staleness(request: MeasureStaleness) -> MeasurementRef:
            note("measure_staleness", request)
            return MeasurementRef(2, "staleness")

        @activity.defn
        async def measure_hits(request: MeasureHits) -> MeasurementRef:
            note("measure_hits", request)
            return MeasurementRef(3, request.kind)

        @activity.defn
        async def measure_answers(request: MeasureAnswers) -> MeasurementRef:
            note("measure_answers", request)
            return MeasurementRef(4, "answers")

        @activity.defn
        async def measure_policy(request: MeasurePolicy) -> MeasurementRef:
            note("measure_policy", request)
            return MeasurementRef(6, "policy")

        @activity.defn
        async def measure_quality(request: MeasureQuality) -> MeasurementRef:
            note("measure_quality", request)
            if self.refuses == "measure_quality":
                raise BadInput("not enough data")
            return MeasurementRef(5, "quality")

        @activity.defn
        async def write_report(request: WriteReport) -> ReportRef:
            note("write_report", request)
            if self.refuses == "write_report":
                raise BadInput("nothing to say")
            return ReportRef(1, request.table)

        @activity.defn
        async def curate_samples(request: CurateSamples) -> SamplesRef:
            note("curate_samples", request)
            return SamplesRef("file:///s", "s", 240, 24)

        @activity.defn
        async def curate_validation(request: CurateValidation) -> ValidationRef:
            note("curate_validation", request)
            return ValidationRef("file:///v", "v", request.counts, 128, 128)

        @activity.defn
        async def train(request: Train) -> ModelRef:
            note("train", request)
            return ModelRef(len(self.of("train")), 1, "tiny", "file:///a", "h")

        @activity.defn
        async def render_prompts(request: RenderPrompts) -> PromptsRef:
            note("render_prompts", request)
            return PromptsRef(f"file:///p{len(self.of('render_prompts'))}", "p", 552)

        @activity.defn
        async def generate_mapping(request: GenerateMapping) -> MappingRef:
            note("generate_mapping", request)
            return MappingRef(f"file:///m{len(self.of('generate_mapping'))}", "m", 552, 540)

        @activity.defn
        async def answer_pairs(request: AnswerPairs) -> AnsweredRef:
            note("answer_pairs", request)
            return AnsweredRef("file:///n", "n", 552, {"strength": Fitted(10.0), "single": Fitted(3.0)})

        @activity.defn
        async def store_table(request: StoreTable) -> TableRef:
            note("store_table", request)
            return TableRef(self.tables.pop(0) if self.tables else 10 + len(self.of("store_table")), 552)

        @activity.defn
        async def evaluate(request: Evaluate) -> Evaluation:
            note("evaluate", request)
            return self.evaluations[min(len(self.of("evaluate")), len(self.evaluations)) - 1]

        @activity.defn
        async def open_gate(review: OpenReview) -> ClosedReview | None:
            note("open_gate", review)
            closed = self.closed
            if self.hold_open:
                await self.hold_open.wait()
            return closed

        @activity.defn
        async def record_verdict(verdict: Verdict) -> bool:
            note("record_verdict", verdict)
            if self.hold_verdict:
                await self.hold_verdict.wait()
            if self.refuse_verdict:
                raise self.refuse_verdict
            return self.store_verdict

        @activity.defn
        async def expire_gate(request: ExpireReview) -> ClosedReview | None:
            note("expire_gate", request)
            return self.closed

        @activity.defn
        async def closed_review(request: FindReview) -> ClosedReview | None:
            note("closed_review", request)
            return self.closed

        @activity.defn
        async def supersede(request: Supersede) -> int:
            note("supersede", request)
            return 0

        @activity.defn
        async def publish(request: Publish) -> Published:
            note("publish", request)
            if self.hold_publication:
                await self.hold_publication.wait()
            return Published(self.publication, request.channel, request.table)

        @activity.defn
        async def register_experiment(request: RegisterExperiment) -> None:
            note("register_experiment", request)

        @activity.defn
        async def measure_experiment(request: MeasureExperiment) -> ExperimentRef:
            note("measure_experiment", request)
            if request.days in self.bad_days:
                raise BadInput("no file matches")
            return ExperimentRef(len(self.of("measure_experiment")), request.days)

        @activity.defn
        async def end_experiment(request: EndExperiment) -> None:
            note("end_experiment", request)

        @activity.defn
        async def find_shipped(request: FindShipped) -> Shipped:
            note("find_shipped", request)
            return Shipped(40 + len(self.of("find_shipped")), 7, 552, "rag", self.evaluations[0])

        @activity.defn
        async def measure_day(request: MeasureDay) -> MeasuredDay | None:
            note("measure_day", request)
            if self.refuses == "measure_day":
                raise BadInput("the log has no event")
            return MeasuredDay(request.nominal.date() - timedelta(days=1), 1000, 300, 280, 40)

        @activity.defn
        async def decide_day(request: DecideDay) -> CadenceDecision:
            note("decide_day", request)
            return CadenceDecision(request.nominal.date(), self.action, ("so it is",))

        @activity.defn
        async def tell(request: Tell) -> None:
            self.told.append(request.told)

        @activity.defn
        async def notify(told: Notification) -> list[Delivery]:
            self.told.append(told)
            return self.targets.pop(0) if len(self.targets) > 1 else self.targets[0]

        @activity.defn
        async def look_out(request: WatchInput) -> list[Notification]:
            return self.due

        made = [step for step in locals().values() if hasattr(step, "__temporal_activity_definition")]
        replaced = {_name(step) for step in self.real}
        return [*self.real, *(step for step in made if _name(step) not in replaced)]


def _name(step: Any) -> str:
    return str(step.__temporal_activity_definition.name)
