"""What the data platform adds."""

from undercroft.data import functions, sql, tables
from undercroft.data.schema import routes as schema
from undercroft.data.schema.advisor import routes as advisor
from undercroft.foundation.wing import Wing

WING = Wing(
    routers=(*tables.ROUTERS, schema.router, advisor.router, sql.router, *functions.ROUTERS),
    permissions=(
        *tables.PERMISSIONS,
        *advisor.PERMISSIONS,
        *sql.PERMISSIONS,
        *functions.PERMISSIONS,
    ),
    jobs=(*tables.JOBS, *sql.JOBS),
    schedules=sql.SCHEDULES,
    personal=(*sql.PERSONAL, *functions.PERSONAL),
)
