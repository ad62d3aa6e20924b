"""REST addresses of the log, below /api/audit/.

`logs/<organization>` is a prefix in the sense of C2SP tlog-tiles.
"""

from django.urls import path

from app.compliance.log import views

urlpatterns = [
    path("checkpoint", views.StateView.as_view()),
    path("entries", views.EntriesView.as_view()),
    path("proof", views.ProofView.as_view()),
    path("receipts/<str:leaf_hash>", views.LogReceiptView.as_view()),
    path("logs/<uuid:organization>/checkpoint", views.LogCheckpointView.as_view()),
    path("logs/<uuid:organization>/tile/<path:tile>", views.LogTileView.as_view()),
]
