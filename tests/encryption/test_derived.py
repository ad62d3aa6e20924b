"""Keys for other purposes than sealing, derived from a data key and gone with it."""

import hmac
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from app.encryption import services
from app.encryption.envelope import SealError, dek_id_in
from app.encryption.fields import token
from app.encryption.keyring import derived_key, keyring, sealing_key
from app.encryption.models import DataKey
from tests.encryption.sample import Letter

SEARCH = b"parley/search/v1"
pytestmark = pytest.mark.usefixtures("samples")


def test_a_derived_key_is_hkdf_of_the_data_key() -> None:
    """Rebuilt from RFC 5869, 2.2 and 2.3: one block, the salt as many zeros as SHA-256 has."""
    dek_id = sealing_key(uuid4(), uuid4())
    (row,) = DataKey.objects.filter(id=dek_id.hex())
    extracted = hmac.digest(bytes(32), services.unwrap_data_key(row), "sha256")
    assert derived_key(dek_id, SEARCH) == hmac.digest(extracted, SEARCH + b"\x01", "sha256")
    assert derived_key(dek_id, SEARCH) == derived_key(dek_id, SEARCH)


def test_purposes_and_conversations_have_keys_of_their_own() -> None:
    organization = uuid4()
    one, other = sealing_key(organization, uuid4()), sealing_key(organization, uuid4())
    keys = {derived_key(dek, info) for dek in (one, other) for info in (SEARCH, b"another/v1")}
    assert len(keys) == 4


def test_the_key_that_seals_is_the_one_that_the_token_names() -> None:
    letter = Letter.objects.create(body="text")
    named = dek_id_in(token(letter, "body"))
    assert sealing_key(letter.organization_id, letter.conversation_id) == named


def test_what_is_derived_is_erased_with_its_data_key() -> None:
    dek_id = sealing_key(uuid4(), uuid4())
    derived_key(dek_id, SEARCH)
    DataKey.objects.filter(id=dek_id.hex()).update(wrapped=None, destroyed_at=datetime.now(UTC))
    keyring.forget()
    with pytest.raises(SealError) as raised:
        derived_key(dek_id, SEARCH)
    assert raised.value.erased
