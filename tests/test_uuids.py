"""Random UUIDs as texts are what the standard library makes of them."""

from uuid import RFC_4122, UUID

from app.uuids import bytes_of, random_uuid


def test_they_are_of_version_4_and_each_is_another_one() -> None:
    made = [random_uuid() for _ in range(1000)]
    assert len({*made}) == 1000
    for text in made:
        read = UUID(text)
        assert (read.version, read.variant) == (4, RFC_4122)
        assert str(read) == text
        assert bytes_of(text) == read.bytes
