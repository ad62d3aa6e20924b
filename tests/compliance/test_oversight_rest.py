"""Holds, readings and erasures over REST: what programs of officers send and get."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.compliance.services import erasures
from tests.compliance.conftest import Ward

pytestmark = pytest.mark.usefixtures("erasure_list")

API = "/api/compliance"
WHY = {"matter": "2026-114", "reason": "A complaint."}


@pytest.fixture
def olgas(api: Callable[[User], Any], olga: User) -> Any:
    return api(olga)


@pytest.fixture
def oscars(api: Callable[[User], Any], oscar: User) -> Any:
    return api(oscar)


def post(client: Any, path: str, body: dict[str, Any] | None = None) -> Any:
    return client.post(f"{API}/{path}", body or {}, content_type="application/json")


def test_a_hold_is_placed_and_released_by_two(
    olgas: Any, oscars: Any, ward: Ward, alice: User
) -> None:
    wanted = WHY | {"conversations": [str(ward.ward.pk)], "people": [str(alice.pk)]}
    placed = post(olgas, "holds", wanted)
    assert placed.status_code == 201
    told = placed.json()
    assert {name: told[name] for name in wanted} == wanted
    hold = f"holds/{told['id']}"
    assert post(olgas, f"{hold}/release").status_code == 409
    assert post(olgas, f"{hold}/ask-release", {"reason": "Settled."}).status_code == 200
    assert post(olgas, f"{hold}/release").status_code == 403
    assert post(oscars, f"{hold}/keep").status_code == 200
    assert post(olgas, f"{hold}/ask-release", {"reason": "Settled."}).status_code == 200
    assert post(oscars, f"{hold}/release").json()["in_force"] is False
    (listed,) = olgas.get(f"{API}/holds").json()["holds"]
    assert listed == olgas.get(f"{API}/{hold}").json()
    assert listed["release_reason"] == "Settled."


def test_a_conversation_is_read_page_by_page(olgas: Any, ward: Ward) -> None:
    (mine,) = (
        item
        for item in olgas.get(f"{API}/conversations").json()["conversations"]
        if item["id"] == str(ward.ward.pk)
    )
    assert (mine["label"], mine["messages"], mine["held"]) == ("ward-4", 5, False)
    opened = post(olgas, "readings", WHY | {"conversation": mine["id"]})
    assert opened.status_code == 201
    reading = f"{API}/readings/{opened.json()['id']}"
    page = olgas.get(reading, {"limit": 3}).json()
    assert (len(page["messages"]), page["more"]) == (3, True)
    earlier = olgas.get(reading, {"before": page["messages"][0]["offset"]}).json()
    assert (len(earlier["messages"]), earlier["more"]) == (2, False)
    edited = next(item for item in earlier["messages"] if item["id"] == str(ward.edited))
    assert [version["seen"] for version in edited["versions"]] == ["readable", "readable"]
    assert Entry.objects.filter(action_name="message:disclosed").count() == 2
    for wrong in ({"before": "x"}, {"before": 0}, {"limit": 1000}, {"after": 1}):
        assert olgas.get(reading, wrong).status_code == 400
    assert Entry.objects.filter(action_name="message:disclosed").count() == 2


def test_without_a_reason_the_api_opens_nothing(olgas: Any, ward: Ward) -> None:
    for missing in ("matter", "reason"):
        given = {name: value for name, value in WHY.items() if name != missing}
        refused = post(olgas, "readings", given | {"conversation": str(ward.ward.pk)})
        assert refused.status_code == 400
        assert missing in refused.json()["error"]["fields"]


def test_an_erasure_is_previewed_asked_for_and_approved(
    olgas: Any, oscars: Any, ward: Ward
) -> None:
    month = f"{timezone.now():%Y-%m}-01"
    months = {"conversation": str(ward.ward.pk), "last": month}
    preview = post(olgas, "erasures/preview", months).json()
    assert preview | {"first_at": "", "last_at": ""} == {
        "months": [month], "messages": 5, "versions": 7, "authors": 2,
        "first_at": "", "last_at": "", "holds": [],
    }  # fmt: skip
    asked = post(olgas, "erasures", months | {"reason": "GDPR 17"})
    assert asked.status_code == 201
    erasure = f"erasures/{asked.json()['id']}"
    assert post(olgas, f"{erasure}/approve").status_code == 403
    assert post(oscars, f"{erasure}/approve").json()["state"] == "approved"
    assert erasures.resume_erasures() == 1
    done = oscars.get(f"{API}/{erasure}").json()
    assert (done["state"], done["keys_destroyed"]) == ("done", 1)
    assert oscars.get(f"{API}/erasures").json()["erasures"] == [done]


def test_under_a_hold_an_erasure_is_refused_with_its_own_code(olgas: Any, ward: Ward) -> None:
    placed = post(olgas, "holds", WHY | {"conversations": [str(ward.ward.pk)]}).json()
    months = {"conversation": str(ward.ward.pk), "last": f"{timezone.now():%Y-%m}-01"}
    assert post(olgas, "erasures/preview", months).json()["holds"] == [placed["id"]]
    refused = post(olgas, "erasures", months | {"reason": "GDPR 17"})
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "under_hold"
