"""What the OpenAPI document says of every endpoint: ways of authenticating, and errors."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers


class ErrorAnswer(serializers.Serializer[Any]):
    """Why the request was refused."""

    code = serializers.CharField(help_text="Stable, for programs.")
    message = serializers.CharField(help_text="For people.")
    fields = serializers.DictField(  # type: ignore[assignment]  # declared, not the attribute
        child=serializers.ListField(child=serializers.CharField()),
        help_text="What is wrong with which field of the request.",
    )
    request_id = serializers.CharField(help_text="Finds the request in the logs.")


class ErrorDocument(serializers.Serializer[Any]):
    """The body of every answer that is an error."""

    error = ErrorAnswer()


def answers(good: Mapping[int, Any], *errors: int) -> dict[int, Any]:
    """What `extend_schema` takes as `responses`: these, and those errors in our one shape."""
    return {**good, **dict.fromkeys(errors, ErrorDocument)}


class BrowserSession(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "app.accounts.authentication.BrowserSessionAuthentication"
    name = "browserSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Changes also need the X-CSRFToken header.",
        }


class BearerToken(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "app.accounts.authentication.TokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
