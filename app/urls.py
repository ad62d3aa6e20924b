"""The sitemap: which app answers under which path."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("app.chat.urls")),  # first, for sends: paths are tried in order
    path("api/", include("app.accounts.urls")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/", include("app.voice.urls")),
    path("api/compliance/", include("app.compliance.urls")),
    path("api/audit/", include("app.compliance.log.urls")),
    path("", include("app.web.urls")),
]

handler400 = "app.web.views.errors.bad_request"
handler403 = "app.web.views.errors.denied"
handler404 = "app.web.views.errors.not_found"
handler500 = "app.web.views.errors.broken"
