"""REST addresses of compliance, below /api/compliance/."""

from django.urls import path

from app.compliance import custody_rest, search_rest, views

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
    path("holds", custody_rest.HoldsView.as_view()),
    path("holds/<uuid:hold>", custody_rest.HoldView.as_view()),
    path("holds/<uuid:hold>/ask-release", custody_rest.AskReleaseView.as_view()),
    path("holds/<uuid:hold>/release", custody_rest.ReleaseView.as_view()),
    path("holds/<uuid:hold>/keep", custody_rest.KeepView.as_view()),
    path("conversations", custody_rest.OfficerConversationsView.as_view()),
    path("searches", search_rest.SearchesView.as_view()),
    path("searches/<uuid:search>", search_rest.SearchView.as_view()),
    path("readings", custody_rest.ReadingsView.as_view()),
    path("readings/<uuid:reading>", custody_rest.ReadingView.as_view()),
    path("readings/<uuid:reading>/files/<uuid:attachment>", custody_rest.ReadingFileView.as_view()),
    path("erasures", custody_rest.ErasuresView.as_view()),
    path("erasures/preview", custody_rest.ErasurePreviewView.as_view()),
    path("erasures/<uuid:erasure>", custody_rest.ErasureView.as_view()),
    path("erasures/<uuid:erasure>/approve", custody_rest.ApproveErasureView.as_view()),
    path("erasures/<uuid:erasure>/refuse", custody_rest.RefuseErasureView.as_view()),
    path("erasures/<uuid:erasure>/withdraw", custody_rest.WithdrawErasureView.as_view()),
]
