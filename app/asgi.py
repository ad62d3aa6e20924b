"""The ASGI application: the gateway at /ws, and on one machine pages and REST as well."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

import app.celery  # noqa: F401 - services send jobs through the current application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.prod")
# First: it loads the apps, which everything below needs.
_http = get_asgi_application()

from app import serving  # noqa: E402
from app.routing import websocket  # noqa: E402

application = ProtocolTypeRouter({"http": _http, "websocket": websocket})
serving.begin("gateway")
