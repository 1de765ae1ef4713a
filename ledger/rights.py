"""What an advertiser's ClickHouse user may read: its own rows and nothing else. Pure: SQL, and what to try it with.

All tenants share a role, which has the grants, the policies and the limits; the policies go by the user's name, so that
one run of the statements covers every tenant. Views are read with the reader's rights (SQL SECURITY INVOKER, the
default), so the policies of the tables below them hold too.
"""

from collections.abc import Callable
from hashlib import sha256

from pixeltally.database import DATABASE
from pixeltally.errors import Refused

ROLE = "pixeltally_tenant"

_USER = "tenant_"
_OWN = f"advertiser = replaceOne(currentUser(), '{_USER}', '')"

_ALL_DAYS = "(first = '1970-01-01', last = '2105-12-31')"

#: What tenants read, their own rows of it; parameterized views with parameters to try them with.
READABLE = {
    "impressions": "",
    "opens": "",
    "clicks": "",
    "conversions": "",
    "orders_between": "(since = '1970-01-01 00:00:00', until = '2105-12-31 00:00:00')",
    "minutes": "",
    "ledger": "",
    "ctr": "",
    "funnel": "",
    "reach": "(period = 'day', tz = 'UTC')",
    "campaign_reach": "(period = 'day', tz = 'UTC')",
    "advertiser_reach": "(period = 'day', tz = 'UTC')",
    "reach_between": "(first = '1970-01-01', last = '2105-12-31', tz = 'UTC')",
    "campaign_reach_between": "(first = '1970-01-01', last = '2105-12-31', tz = 'UTC')",
    "advertiser_reach_between": "(first = '1970-01-01', last = '2105-12-31', tz = 'UTC')",
    "spend": "",
    "charges": "",
    "charges_kept": "",
    "charges_lately": "",
    "terms": "",
    "campaign_days": "",
    "campaign_days_between": _ALL_DAYS,
    "charges_between": _ALL_DAYS,
    "days_of_campaigns": "(first = '1970-01-01', last = '2105-12-31', paid = false)",
    "ledger_slices": "",
    "reach_slices": "",
    "order_slices": "",
    "action_slices": "",
    "followed_clicks": "",
    "facts": "",
    "rerates": "",
    "minute_rows": "",
    "minute_parts": "",
    "counted_minutes": "",
    "recounted_minutes": "",
    "slice_parts": "",
    "counted_parts": "",
    "open_parts": "",
    "late_minutes": "",
    "counted_slices": "",
    "counted_visitors": "",
    "counted_origins": "",
    "origins_between": "(since = '1970-01-01 00:00:00', until = '2105-12-31 00:00:00', of = 'country')",
    "settled_minutes": "",
    "settled_days": "",
    "settled_rules": "",
    "terms_set": "",
    "terms_held": "",
    "visitor_sets": "",
    "slice_visitors": "",
    "first_visits": "",
    "visits": "",
    "newcomers_between": "(first = '1970-01-01', last = '2105-12-31', paid = false)",
    "months_of_change": "",
    "month_edges": "",
    "sent_list": "",
    "advertisers": "",
    "erasures": "",
}

#: What they read all of: it is of no advertiser.
SHARED = frozenset(
    {
        "schema_migrations",
        "retentions",
        "horizon",
        "touched_days",
        "counted_days",
        "counted_months",
        "charged_months",
        "days",
        "months",
        "visits_since",
        "visits_known",
    }
)

#: What they don't read: the lines that nobody could attribute, who was forgotten, and how rows come in.
HIDDEN = frozenset(
    {
        "dead_letters",
        "dead_requests",
        "segments",
        "spooled_minutes",
        "reconciliations",
        "dead_letters_in",
        "dead_letters_fill",
        "forgotten_visitors",
        "forgotten_addresses",
        "forgotten_letters",
        "facts_in",
        "facts_fill",
        "visitor_sets_fill",
        "visits_in",
        "visits_fill",
        "first_visits_fill",
        "late_minutes_fill",
        "terms_held_fill",
        "touched_by_facts_fill",
        "touched_by_minutes_fill",
    }
)

#: A tenant's queries: seconds and bytes of one, and an hour's number and seconds.
QUERY_S, QUERY_BYTES = 60, 4_000_000_000
HOURLY_QUERIES, HOURLY_S = 50_000, 7_200


class Leak(Exception):
    """A tenant could read what isn't its own."""


def user(advertiser: str) -> str:
    """The tenant's ClickHouse user."""
    return _USER + advertiser


def statements(advertiser: str, password: str, database: str = DATABASE) -> list[str]:
    """SQL that makes the tenant's user, in this order: nobody has the right to read before the policies are there.

    It may be run again, after an upgrade for every tenant's rights too, and sets the password anew. `password` must be
    random: it is told as its bare SHA-256.
    """
    who = f"`{user(advertiser)}`"
    secret = f"IDENTIFIED WITH sha256_hash BY '{sha256(password.encode()).hexdigest().upper()}'"
    covered = ", ".join(f"{database}.{table}" for table in READABLE)
    rights = ", ".join(f"SELECT ON {database}.{table}" for table in [*READABLE, *sorted(SHARED)])
    return [
        f"CREATE ROLE IF NOT EXISTS {ROLE}",
        # One lets own rows in where the server asks for that; the other keeps all others out whatever else is allowed.
        f"CREATE ROW POLICY OR REPLACE {ROLE} ON {covered} USING {_OWN} AS PERMISSIVE TO {ROLE}",
        f"CREATE ROW POLICY OR REPLACE {ROLE}_only ON {covered} USING {_OWN} AS RESTRICTIVE TO {ROLE}",
        f"GRANT {rights} TO {ROLE} WITH REPLACE OPTION",
        f"CREATE SETTINGS PROFILE OR REPLACE {ROLE} SETTINGS readonly = 2,"
        f" max_execution_time = {QUERY_S} MAX {QUERY_S}, max_memory_usage = {QUERY_BYTES} MAX {QUERY_BYTES} TO {ROLE}",
        f"CREATE QUOTA OR REPLACE {ROLE} KEYED BY user_name"
        f" FOR INTERVAL 1 hour MAX queries = {HOURLY_QUERIES}, execution_time = {HOURLY_S} TO {ROLE}",
        f"CREATE USER IF NOT EXISTS {who} {secret} DEFAULT DATABASE {database}",
        f"ALTER USER {who} {secret}",
        f"GRANT {ROLE} TO {who}",
        f"ALTER USER {who} DEFAULT ROLE {ROLE}",
    ]


def check(advertiser: str, tables: set[str], is_any: Callable[[str], bool], database: str = DATABASE) -> int:
    """Look at each of the database's tables through a tenant's eyes; how many it can read.

    `is_any` asks as the tenant whether a query has rows, and raises :class:`Refused` where it may not be asked. Raises
    :class:`Leak` where somebody else's rows, or a hidden table, can be read.
    """
    for table in sorted(tables & READABLE.keys()):
        query = f"SELECT 1 FROM {database}.{table}{READABLE[table]} WHERE advertiser != '{advertiser}' LIMIT 1"
        if is_any(query):
            raise Leak(f"{user(advertiser)} reads other advertisers' rows of {table}")
    for table in sorted(tables - READABLE.keys() - SHARED):
        try:
            is_any(f"SELECT 1 FROM {database}.{table} LIMIT 1")
        except Refused:
            continue
        raise Leak(f"{user(advertiser)} reads {table}")
    return len(tables & READABLE.keys())
