"""The edge of the REST API: one shape for errors, strict input, nothing read without a bound.

A message never repeats what somebody sent: it may be logged on its way.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import IO, Any, NoReturn, cast

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from rest_framework import exceptions as drf
from rest_framework import parsers, serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from app.accounts.identity import identity_of
from app.accounts.services.denials import note_denied
from app.audit.context import current_origin
from app.errors import Denied, DomainError, RateLimited

_CODES: Mapping[int, tuple[str, str]] = {
    400: ("invalid", "Something in the request is not right."),
    401: ("unauthenticated", "Sign in first."),
    403: ("denied", "This is not allowed."),
    404: ("not_found", "There is nothing here, or not for you."),
    405: ("method_not_allowed", "This address does not answer to that method."),
    406: ("not_acceptable", "This address answers in application/json only."),
    413: ("too_large", "That is too large."),
    415: ("unsupported_media_type", "Send application/json."),
    429: ("rate_limited", "Too many attempts: wait a moment."),
    500: ("internal", "Something broke on our side. The request id finds it in our logs."),
    503: ("unavailable", "This cannot be done right now: try again in a moment."),
}


def error_document(
    code: str, message: str, fields: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """The body of every answer that is an error."""
    error = {
        "code": code,
        "message": message,
        "fields": {name: list(texts) for name, texts in (fields or {}).items()},
        "request_id": current_origin.get().request_id,
    }
    return {"error": error}


def error_response(status: int) -> JsonResponse:
    """The error document outside of REST framework's views: unknown addresses, crashes."""
    code, message = _CODES.get(status, _CODES[400])
    return JsonResponse(error_document(code, message), status=status)


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Translate what a view raised; None, which means 500, for what nobody foresaw."""
    if isinstance(error, DomainError):
        if isinstance(error, Denied):
            note(context["request"])
        body = error_document(error.code, error.message, error.fields)
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, RateLimited) else {}
        return Response(body, status=error.status, headers=headers)
    if isinstance(error, drf.ValidationError):
        code, message = _CODES[400]
        return Response(error_document(code, message, _flat(error.detail)), status=400)
    status = _status(error)
    if status is None:
        return None
    code, message = _CODES.get(status, _CODES[400])
    if isinstance(error, drf.ParseError):
        code, message = "malformed", "The body is not the JSON that was announced."
    return Response(error_document(code, message), status=status, headers=_headers(error))


def note(request: HttpRequest | Request) -> None:
    """Put a refusal by role into the trail, if it is known whose it is."""
    session = identity_of(request).session
    route = request.resolver_match
    if session is not None and route is not None:
        note_denied(session=session, method=request.method or "", route=route.route)


def _status(error: Exception) -> int | None:
    if isinstance(error, drf.APIException):
        return error.status_code if error.status_code != 500 else None
    for kind, status in (
        (Http404, 404),
        (PermissionDenied, 403),
        (RequestDataTooBig, 413),
        (SuspiciousOperation, 400),
        (UnreadablePostError, 400),
    ):
        if isinstance(error, kind):
            return status
    return None


def _headers(error: Exception) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return headers


def _flat(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """`{"members": {"0": ["…"]}}` as `{"members.0": ["…"]}`."""
    if isinstance(detail, Mapping):
        result: dict[str, list[str]] = {}
        for name, inner in detail.items():
            result |= _flat(inner, f"{prefix}.{name}" if prefix else str(name))
        return result
    if isinstance(detail, list) and any(isinstance(item, (list, Mapping)) for item in detail):
        return _flat({str(index): item for index, item in enumerate(detail) if item}, prefix)
    texts = detail if isinstance(detail, list) else [detail]
    return {prefix or "request": [str(text) for text in texts]}


class BoundedJSONParser(parsers.JSONParser):
    """JSON with a size, a depth and no surprises.

    REST framework reads the body past Django's limit, lets a deeply nested body exhaust the
    stack, and repeats parts of a broken body in its message.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise RequestDataTooBig
        try:
            return json.loads(raw.decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise drf.ParseError from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


class Negotiation(DefaultContentNegotiation):
    """REST framework's, which is not asked where there is nothing to choose."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        first = next(iter(parsers), None)
        if first is not None and request.content_type == first.media_type:
            return first
        return super().select_parser(request, parsers)

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> Any:
        only, *others = renderers
        asked = others or format_suffix or request.META.get("QUERY_STRING")
        if not asked and request.META.get("HTTP_ACCEPT", "*/*") in {"*/*", only.media_type}:
            return only, only.media_type
        return super().select_renderer(request, renderers, format_suffix)


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses what it does not know, instead of dropping it unseen."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self._known]
            if unknown:
                shown = {str(name)[:64]: ["There is no such field."] for name in unknown[:10]}
                raise serializers.ValidationError(shown)
        return super().to_internal_value(data)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(name for name, field in self.fields.items() if not field.read_only)


def parsed(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, checked. Raises REST framework's errors, which the handler knows."""
    try:
        return cast(dict[str, Any], _checker(serializer).run_validation(request.data))
    except drf.ValidationError:
        given = serializer(data=request.data)  # it says what is wrong
    given.is_valid(raise_exception=True)
    checked: dict[str, Any] = given.validated_data
    return checked


@cache
def _checker(serializer: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """One for all requests: a serializer copies all its fields when it is made, and remembers
    nothing of what it checks."""
    return serializer()
