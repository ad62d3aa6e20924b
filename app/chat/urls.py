from django.urls import path

from app.chat import views
from app.chat.attachments import views as attachments
from app.chat.search import views as search

urlpatterns = [
    path(
        "conversations/<uuid:conversation>/messages", views.MessagesView.as_view(), name="messages"
    ),
    path("search", search.SearchView.as_view(), name="search"),
    path("search/index", search.IndexView.as_view(), name="search-index"),
    path("conversations", views.ConversationsView.as_view(), name="conversations"),
    path(
        "conversations/<uuid:conversation>", views.ConversationView.as_view(), name="conversation"
    ),
    path("conversations/<uuid:conversation>/join", views.JoinView.as_view(), name="join"),
    path("conversations/<uuid:conversation>/leave", views.LeaveView.as_view(), name="leave"),
    path("conversations/<uuid:conversation>/members", views.MembersView.as_view(), name="members"),
    path(
        "conversations/<uuid:conversation>/members/<uuid:user>",
        views.MemberView.as_view(),
        name="member",
    ),
    path(
        "conversations/<uuid:conversation>/attachments",
        attachments.UploadsView.as_view(),
        name="uploads",
    ),
    path("attachments/<uuid:attachment>", attachments.AttachmentView.as_view(), name="attachment"),
    path(
        "attachments/<uuid:attachment>/parts/<int:part>",
        attachments.PartView.as_view(),
        name="part",
    ),
    path(
        "attachments/<uuid:attachment>/complete",
        attachments.CompletionView.as_view(),
        name="complete",
    ),
    path(
        "attachments/<uuid:attachment>/preview",
        attachments.PreviewView.as_view(),
        name="preview",
    ),
    path("conversations/<uuid:conversation>/read", views.ReadView.as_view(), name="read"),
    path("messages/<uuid:message>", views.MessageView.as_view(), name="message"),
    path("messages/<uuid:message>/versions", views.VersionsView.as_view(), name="versions"),
    path("messages/<uuid:message>/receipt", views.ReceiptView.as_view(), name="receipt"),
    path(
        "messages/<uuid:message>/reactions/<str:emoji>",
        views.ReactionView.as_view(),
        name="reaction",
    ),
]
