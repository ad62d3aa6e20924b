from django.urls import path

from app.realtime.views import TicketView

urlpatterns = [path("ticket", TicketView.as_view(), name="realtime-ticket")]
