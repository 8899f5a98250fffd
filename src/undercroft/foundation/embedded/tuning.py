"""PostgreSQL settings for this machine. `ALTER SYSTEM` wins over every line of it."""

import os

MIB = 1024 * 1024

# One line each: a value, and why it is not PostgreSQL's own default.
COMMON = {
    "listen_addresses": "",  # sockets only
    "password_encryption": "scram-sha-256",
    "wal_level": "logical",  # live changes read the log
    "wal_compression": "on",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_slot_wal_keep_size": "1GB",  # a slot that nobody reads must not fill the disk
    "min_wal_size": "80MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than our statements run
    "huge_pages": "try",
    # What is set aside for each of these is touched at the start, used or not.
    "wal_buffers": "4MB",
    "max_pred_locks_per_transaction": "16",
    "pg_stat_statements.max": "2000",
    "io_max_concurrency": "16",  # what one process reads ahead; room for 64 is kept for each
    "autovacuum_vacuum_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.05",
    "shared_preload_libraries": "pg_stat_statements",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "logging_collector": "off",  # our own log file is bounded; PostgreSQL's is not
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}

# For test databases: nothing survives a power cut, everything is quicker.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def tuned(memory_bytes: int, *, connections: int, durable: bool) -> dict[str, str]:
    """Everything we set, for a machine with this much memory."""
    # The operating system caches files too, so a small share is enough, and memory that a
    # sleeping server does not hold is worth more than a hit in its own cache.
    shared = min(max(memory_bytes // 8, 32 * MIB), 256 * MIB)
    settings = COMMON | {
        "max_connections": str(connections),
        "shared_buffers": _mib(shared),
        "effective_cache_size": _mib(memory_bytes * 5 // 8),
        "maintenance_work_mem": _mib(min(max(memory_bytes // 32, 32 * MIB), 256 * MIB)),
        "work_mem": _mib(min(max(memory_bytes // 512, 4 * MIB), 16 * MIB)),
    }
    return settings if durable else settings | FORGETFUL


def machine_memory() -> int:
    """Bytes this process may use: the machine's, or the container's when that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max") as limit:  # noqa: PTH123 - not our file
            return min(total, int(limit.read()))
    except (OSError, ValueError):  # no cgroup, or "max"
        return total


def as_configuration(settings: dict[str, str]) -> str:
    """The text of a postgresql.conf."""
    return "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items())


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _mib(size: int) -> str:
    return f"{size // MIB}MB"
