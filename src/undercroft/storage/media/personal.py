"""What storage keeps about people for their accounts' sake."""

from undercroft.foundation.personal import PersonalData

PERSONAL = (
    PersonalData(
        "storage.media",
        "uploads",
        "SELECT to_jsonb(m) FROM storage.media m WHERE m.owner_id = :id ORDER BY m.created_at",
        # Their bytes and the profile picture go with the objects; a job sweeps what is left.
        erase="WITH files AS (DELETE FROM storage.objects WHERE owner = :id AND bucket_id IN"
        " ('_media', '_private_media', '_profile_pictures'))"
        " DELETE FROM storage.media WHERE owner_id = :id",
    ),
)
