"""The WSGI application: pages and REST in production, under gunicorn's threads."""

import os

from django.core.wsgi import get_wsgi_application

import app.celery  # noqa: F401 - services send jobs through the current application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.prod")
application = get_wsgi_application()

from django.conf import settings  # noqa: E402

from app import metrics  # noqa: E402
from app.encryption import forgetting  # noqa: E402

forgetting.follow()
metrics.serve("web", settings.METRICS_LISTEN, release=settings.RELEASE)
