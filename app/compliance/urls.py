"""REST addresses of compliance, below /api/compliance/."""

from django.urls import path

from app.compliance.views import calls, erasures, exports, holds, readings, searches, trail

urlpatterns = [
    path("trail", trail.TrailView.as_view()),
    path("trail/<int:entry>", trail.EntryView.as_view()),
    path("calls", calls.CallsView.as_view()),
    path("calls/<uuid:call>", calls.CallView.as_view()),
    path("exports", exports.ExportsView.as_view()),
    path("exports/preview", exports.PreviewView.as_view()),
    path("exports/<uuid:export>", exports.ExportView.as_view()),
    path("exports/<uuid:export>/approve", exports.ApproveView.as_view()),
    path("exports/<uuid:export>/refuse", exports.RefuseView.as_view()),
    path("exports/<uuid:export>/withdraw", exports.WithdrawView.as_view()),
    path("exports/<uuid:export>/download", exports.DownloadView.as_view()),
    path("holds", holds.HoldsView.as_view()),
    path("holds/<uuid:hold>", holds.HoldView.as_view()),
    path("holds/<uuid:hold>/ask-release", holds.AskReleaseView.as_view()),
    path("holds/<uuid:hold>/release", holds.ReleaseView.as_view()),
    path("holds/<uuid:hold>/keep", holds.KeepView.as_view()),
    path("conversations", readings.OfficerConversationsView.as_view()),
    path("searches", searches.SearchesView.as_view()),
    path("searches/<uuid:search>", searches.SearchView.as_view()),
    path("readings", readings.ReadingsView.as_view()),
    path("readings/<uuid:reading>", readings.ReadingView.as_view()),
    path("readings/<uuid:reading>/files/<uuid:attachment>", readings.ReadingFileView.as_view()),
    path("erasures", erasures.ErasuresView.as_view()),
    path("erasures/preview", erasures.ErasurePreviewView.as_view()),
    path("erasures/<uuid:erasure>", erasures.ErasureView.as_view()),
    path("erasures/<uuid:erasure>/approve", erasures.ApproveErasureView.as_view()),
    path("erasures/<uuid:erasure>/refuse", erasures.RefuseErasureView.as_view()),
    path("erasures/<uuid:erasure>/withdraw", erasures.WithdrawErasureView.as_view()),
]
