"""Fields that several of the officers' requests have."""

from rest_framework import serializers

from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON


def reason() -> serializers.CharField:
    return serializers.CharField(
        max_length=LONGEST_REASON, help_text="Sealed; who decides reads it."
    )


def matter() -> serializers.CharField:
    return serializers.CharField(
        max_length=LONGEST_MATTER, help_text="What it belongs to, such as a case number. Sealed."
    )
