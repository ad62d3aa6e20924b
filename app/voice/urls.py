from django.urls import path

from app.voice import views
from app.voice.sfu.views import webhook

urlpatterns = [
    path("voice/sfu/webhook", webhook),
    path("calls/policy", views.PolicyView.as_view()),
    path("conversations/<uuid:conversation>/voice", views.RoomView.as_view(), name="voice"),
    path("conversations/<uuid:conversation>/calls", views.CallsView.as_view(), name="calls"),
]
