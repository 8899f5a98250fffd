"""What the admin server tells Prometheus, in PostgREST's names."""

from dataclasses import dataclass, field

from undercroft.data.rest.pool import Pool
from undercroft.data.rest.standalone.tokens import TokenCounts


@dataclass(slots=True)
class Counts:
    """What happened since the start."""

    schema_loads: int = 0
    schema_failures: int = 0
    schema_seconds: float = 0.0
    tokens: TokenCounts = field(default_factory=TokenCounts)


def write_metrics(counts: Counts, pool: Pool) -> str:
    """Write all metrics in Prometheus' text format."""
    tokens = counts.tokens
    loads = (
        f'{{status="SUCCESS"}} {float(counts.schema_loads)}',
        f'{{status="FAIL"}} {float(counts.schema_failures)}',
    )
    return "".join(
        [
            _metric("schema_cache_query_time_seconds", "gauge", f" {counts.schema_seconds}"),
            _metric("schema_cache_loads_total", "counter", *loads),
            _metric("db_pool_timeouts_total", "counter", f" {float(pool.timeouts)}"),
            _metric("db_pool_available", "gauge", f" {float(pool.available)}"),
            _metric("db_pool_waiting", "gauge", f" {float(pool.waiting)}"),
            _metric("db_pool_max", "gauge", f" {float(pool.size)}"),
            _metric("jwt_cache_requests_total", "counter", f" {float(tokens.requests)}"),
            _metric("jwt_cache_hits_total", "counter", f" {float(tokens.hits)}"),
            _metric("jwt_cache_evictions_total", "counter", f" {float(tokens.evictions)}"),
        ]
    )


_HELP = {
    "schema_cache_query_time_seconds": "Seconds that reading the schema took last",
    "schema_cache_loads_total": "How often the schema was read, or could not be",
    "db_pool_timeouts_total": "How often a request waited in vain for a connection",
    "db_pool_available": "Connections that a request could have",
    "db_pool_waiting": "Requests that wait for a connection",
    "db_pool_max": "Most connections there can be",
    "jwt_cache_requests_total": "Tokens looked for among those remembered",
    "jwt_cache_hits_total": "Tokens found among those remembered",
    "jwt_cache_evictions_total": "Tokens forgotten for others",
}


def _metric(name: str, kind: str, *samples: str) -> str:
    lines = [f"# HELP pgrst_{name} {_HELP[name]}", f"# TYPE pgrst_{name} {kind}"]
    return "\n".join([*lines, *(f"pgrst_{name}{sample}" for sample in samples), ""])
