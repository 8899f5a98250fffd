"""What storage keeps about people."""

from undercroft.foundation.personal import PersonalData

PERSONAL = (
    # Their files go with them; the trigger has the bytes swept.
    PersonalData(
        "storage.objects",
        "files",
        "SELECT jsonb_build_object('bucket', o.bucket_id, 'name', o.name, 'metadata', o.metadata,"
        " 'user_metadata', o.user_metadata, 'created_at', o.created_at)"
        " FROM storage.objects o WHERE o.owner = :id ORDER BY o.bucket_id, o.name",
        erase="DELETE FROM storage.objects WHERE owner = :id",
    ),
    PersonalData(
        "storage.buckets",
        erase="UPDATE storage.buckets SET owner = NULL, owner_id = NULL WHERE owner = :id",
    ),
    PersonalData(
        "storage.uploads",
        erase="DELETE FROM storage.uploads WHERE caller = CAST(CAST(:id AS uuid) AS text)",
    ),
)
