"""Jobs and schedules. A job's arguments are ids: nothing that anybody wrote."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.prod")
application = Celery("parley")
application.config_from_object("django.conf:settings", namespace="CELERY")
application.autodiscover_tasks()
