"""What sites hold about people: at which ones they may look."""

from undercroft import PersonalData

PERSONAL = (
    PersonalData(
        "sites.site_users",
        "sites",
        "SELECT jsonb_build_object('id', s.id, 'name', s.name, 'added_at', u.added_at)"
        " FROM sites.site_users u JOIN sites.sites s ON s.id = u.site_id"
        " WHERE u.user_id = :id ORDER BY s.name",
        erase="DELETE FROM sites.site_users WHERE user_id = :id",
    ),
)
