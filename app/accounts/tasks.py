"""Housekeeping: what no longer opens or limits anything need not be kept."""

from celery import shared_task
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from app.accounts import limits
from app.accounts.session_store import SessionStore


@shared_task(name="accounts.tidy")
def tidy() -> None:
    """Drop expired cookies, expired refresh tokens and limits that have run out.

    Never a `Session` of ours: where somebody was signed in stays known.
    """
    SessionStore.clear_expired()
    OutstandingToken.objects.filter(expires_at__lt=timezone.now()).delete()
    limits.forget()
