"""Google's own description of the Cloud Run API, as a schema that refuses what it does not name.

The discovery documents come with the package google-api-python-client
(https://developers.google.com/discovery/v1/reference/apis). `Schema` objects there are JSON
Schema, draft 3, with two things of their own: `$ref` names a schema of the document, and a
64-bit integer is a string (`format: int64`).
"""

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]


@lru_cache(maxsize=4)
def document(api: str) -> dict[str, Any]:
    """The discovery document of `api`, such as `run.v1`."""
    folder = resources.files("googleapiclient") / "discovery_cache/documents"
    found: dict[str, Any] = json.loads((folder / f"{api}.json").read_text())
    return found


@lru_cache(maxsize=32)
def validator(api: str, kind: str) -> Draft202012Validator:
    schemas = document(api)["schemas"]
    return Draft202012Validator(
        {"$ref": f"#/$defs/{kind}", "$defs": {name: _strict(one) for name, one in schemas.items()}}
    )


def problems(api: str, kind: str, thing: object) -> list[str]:
    """What is wrong with it: a line each, with the path."""
    return [f"{one.json_path}: {one.message}" for one in validator(api, kind).iter_errors(thing)]


@lru_cache(maxsize=1)
def annotations() -> dict[str, set[str]]:
    """Of each annotation that Cloud Run takes, what it may stand at: `Service`, `Revision`, …"""
    told = document("run.v1")["schemas"]["ObjectMeta"]["properties"]["annotations"]["description"]
    return {
        name: {one.strip(" ,.") for one in where.split(",") if one.strip(" ,.")}
        for name, where in re.findall(r"\* `([^`]+)`: ([A-Z][A-Za-z, ]+)", told)
    }


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type")
    if kind and kind != "any":
        made["type"] = kind
    if kind == "object":
        made["properties"] = {
            name: _strict(one) for name, one in schema.get("properties", {}).items()
        }
        more = schema.get("additionalProperties")
        made["additionalProperties"] = _strict(more) if isinstance(more, dict) else False
    if kind == "array":
        made["items"] = _strict(schema["items"])
    if "enum" in schema:
        made["enum"] = schema["enum"]
    return made
