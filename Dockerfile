# One image for worker, beat, Flower and the command line; docs/deployment.md says how it is used.
# The whole version; docs/deployment.md says how to pin it by digest.
FROM python:3.12.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# /state holds beat's schedule file: a volume mounted there takes over its owner.
RUN useradd --system --uid 10001 --create-home seeder && install -d -o seeder /state

# celeryconfig.py is found through the working directory, as it is in a clone.
WORKDIR /app

# The packages change seldom, the code often: the lock alone first, so that this layer is reused.
COPY requirements.lock ./
RUN pip install --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY seeder ./seeder
RUN pip install --no-deps --no-build-isolation --editable . && python -m compileall -q seeder celeryconfig.py

USER seeder
# Celery's warm shutdown: what runs is finished, nothing new is taken.
STOPSIGNAL SIGTERM
# No ENTRYPOINT: a container is given the words one would type in a clone. As a list, so that no shell stands
# between Docker's signal and the process.
CMD ["seeder", "--help"]
