"""What notifications add to the platform."""

from undercroft import notifications
from undercroft.foundation.wing import Wing

WING = Wing(jobs=notifications.JOBS, schedules=notifications.SCHEDULES)
