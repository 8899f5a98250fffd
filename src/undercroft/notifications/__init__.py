"""Messages to people: e-mail, SMS, WhatsApp. Knows addresses and templates, not users.

`queue_message` writes into the caller's transaction; a job sends after the commit.
"""

from undercroft.notifications.jobs import JOBS, SCHEDULES
from undercroft.notifications.models import Channel, Message, MessageState
from undercroft.notifications.post import Post
from undercroft.notifications.service import list_messages, queue_message, read_content
from undercroft.notifications.templates import Content, Kind

__all__ = [
    "JOBS",
    "SCHEDULES",
    "Channel",
    "Content",
    "Kind",
    "Message",
    "MessageState",
    "Post",
    "list_messages",
    "queue_message",
    "read_content",
]
