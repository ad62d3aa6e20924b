"""The WSGI application: pages and REST in production, under gunicorn's threads."""

import os

from django.core.wsgi import get_wsgi_application

import app.celery  # noqa: F401 - services send jobs through the current application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.prod")
application = get_wsgi_application()

from app import serving  # noqa: E402

serving.begin("web")
