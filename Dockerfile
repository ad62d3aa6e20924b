# The one image of Parley: which process it is, the command says (see docs/operations.md).
# Building it needs a registry of images, so the tests of this repository do not.
FROM python:3.12-slim-bookworm AS packages
COPY requirements-lock.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements-lock.txt

FROM python:3.12-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=app.settings.prod \
    PORT=8080
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install --directory --owner parley --mode 700 /srv/parley
COPY --from=packages /venv /venv
WORKDIR /parley
COPY manage.py ./
COPY app app
# Collecting files needs settings, and settings need secrets: these last for this one command.
RUN key="$(python -c 'import base64, secrets; print(base64.b64encode(secrets.token_bytes(32)).decode())')" \
    && long="$(python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
    && SECRET_KEY="$long" JWT_SIGNING_KEY="$long" FIELD_ENCRYPTION_KEY="$key" \
       AUDIT_PSEUDONYM_KEY="$key" BLIND_INDEX_KEY="$key" KEY_ENCRYPTION_KEY_FILE=/none \
       ALLOWED_HOSTS=localhost CSRF_TRUSTED_ORIGINS=https://localhost TRUSTED_PROXY_COUNT=0 \
       CHECKPOINT_ORIGIN=build STATE_DIR=/srv/parley ERASURE_LIST=/none \
       DATABASE_URL=postgres://none@127.0.0.1/none REDIS_URL=redis://127.0.0.1/0 \
       python manage.py collectstatic --no-input --verbosity 0
USER parley
EXPOSE 8080
# Pages, REST and the gateway: docs/operations.md says what each option is for.
CMD ["sh", "-c", "exec gunicorn app.asgi:application --worker-class app.realtime.worker.GatewayWorker --workers ${WEB_CONCURRENCY:-1} --bind 0.0.0.0:$PORT --graceful-timeout 9 --no-control-socket --worker-tmp-dir /dev/shm --log-level warning"]
