# The one image of Parley: which process it is, its argument says (app/start.py).
#     docker build --build-arg PYTHON=python:3.12-slim-bookworm@sha256:… --tag parley .
#     docker run --read-only --tmpfs /tmp … parley web
# A release names the digest of what it was built on; a build by hand may leave it out.
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS packages
COPY requirements-lock.txt /
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-compile \
        --require-hashes --only-binary :all: -r /requirements-lock.txt

FROM ${PYTHON} AS files
COPY --from=packages /venv /venv
WORKDIR /parley
COPY manage.py ./
COPY app app
# Collecting files needs settings, and settings need secrets: the sealer's, who is given none.
RUN DJANGO_SETTINGS_MODULE=app.settings.prod DATABASE_ROLE=sealer STATE_DIR=/none ERASURE_LIST=/none \
    ALLOWED_HOSTS=localhost CSRF_TRUSTED_ORIGINS=https://localhost TRUSTED_PROXY_COUNT=0 \
    CHECKPOINT_ORIGIN=build DATABASE_URL=postgres://none@127.0.0.1/none REDIS_URL=redis://127.0.0.1/0 \
    /venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
    && /venv/bin/python -m compileall -q app

FROM ${PYTHON}
ARG RELEASE=""
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=app.settings.prod \
    RELEASE=${RELEASE} \
    PORT=8080
# Nothing is built or installed in what runs.
RUN pip uninstall --yes --root-user-action ignore pip \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install --directory --owner parley --mode 700 /srv/parley
COPY --from=packages /venv /venv
COPY --from=files /parley /parley
WORKDIR /parley
USER 10001
EXPOSE 8080
ENTRYPOINT ["python", "-m", "app.start"]
CMD ["web"]
