"""Where the SFU tells what happens there. Whoever it is proves to be our server by a signature."""

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from app.accounts.rest import error_response
from app.voice import sfu
from app.voice.services import handover

logger = logging.getLogger(__name__)


@csrf_exempt  # no browser's session is believed here, only the signature
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """200: heard. The same again does no harm: what is done about it depends on the rows."""
    server = sfu.configured()
    if server is None:
        return error_response(404)
    try:
        arrival = server.arrival(request.body, request.headers.get("Authorization", ""))
        if arrival is not None:
            handover.arrived(arrival)
    except sfu.BadWebhook as error:
        logger.warning("sfu_webhook_refused", extra={"error": str(error)})
        return error_response(401)
    except sfu.SfuFailed as error:
        logger.warning("sfu_unavailable", extra={"error": str(error)})
        return error_response(503)  # it is sent again
    return JsonResponse({}, status=200)
