"""How many people are in calls, for the metrics."""

from django.db.models import Count

from app import metrics
from app.voice.models import Participant


def standing() -> dict[str, float]:
    """The gauges of rooms. Raises database errors."""
    there = Participant.objects.filter(left_at=None)
    found = there.aggregate(places=Count("pk"), rooms=Count("conversation", distinct=True))
    return {
        metrics.VOICE_PLACES.name: found["places"],
        metrics.VOICE_ROOMS.name: found["rooms"],
    }
