"""What comes in by itself: calls of the application, webhooks of CRMs. Who may come in, how much at once, and one
commit for many."""

from connector.app.incoming.doors import Doors, doors_of
from connector.app.incoming.inbox import FullError, Inbox
from connector.app.incoming.reading import Refused, read_body, read_document

__all__ = ["Doors", "FullError", "Inbox", "Refused", "doors_of", "read_body", "read_document"]
