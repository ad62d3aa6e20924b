"""REST addresses of compliance, below /api/compliance/."""

from django.urls import path

from app.compliance import views

urlpatterns = [
    path("trail", views.TrailView.as_view()),
    path("trail/<int:entry>", views.EntryView.as_view()),
    path("exports", views.ExportsView.as_view()),
    path("exports/preview", views.PreviewView.as_view()),
    path("exports/<uuid:export>", views.ExportView.as_view()),
    path("exports/<uuid:export>/approve", views.ApproveView.as_view()),
    path("exports/<uuid:export>/refuse", views.RefuseView.as_view()),
    path("exports/<uuid:export>/withdraw", views.WithdrawView.as_view()),
    path("exports/<uuid:export>/download", views.DownloadView.as_view()),
]
