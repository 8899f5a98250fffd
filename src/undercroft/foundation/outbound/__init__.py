"""HTTP calls to addresses that a person chose, without reaching what only we can reach.

`Outbound` is the one client for them (docs/decisions/0020-one-guarded-client.md). Addresses that
the operator configured, such as a mail carrier's, need no guard and do not go through it.
"""

from undercroft.foundation.outbound.client import Answer, Outbound
from undercroft.foundation.outbound.errors import (
    AnswerTooLarge,
    OutboundError,
    TargetRefused,
    TargetSilent,
    TargetUnreachable,
    TooManyRedirects,
)
from undercroft.foundation.outbound.rules import Rules
from undercroft.foundation.outbound.transport import Resolve

__all__ = [
    "Answer",
    "AnswerTooLarge",
    "Outbound",
    "OutboundError",
    "Resolve",
    "Rules",
    "TargetRefused",
    "TargetSilent",
    "TargetUnreachable",
    "TooManyRedirects",
]
