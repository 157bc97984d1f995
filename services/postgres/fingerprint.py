"""What a PostgreSQL cluster holds, in parts: counts and digests made by the server, independent of the order of rows.

A row's digest is the SHA-256 of its text; a table's is the sum of the halves of its rows' digests, so it needs no sort
and a single changed row changes it. Rights are sorted, and those of nobody's word are the default ones: a restored dump
grants them in another order. Rows are bounded by the primary key where that is one integer column.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from engine.contracts.fingerprint import FingerprintPart, Validity

Connection = psycopg.Connection[Any]

ROLES: Final = """
SELECT r.rolname, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolcanlogin, r.rolreplication, r.rolbypassrls,
  r.rolconnlimit,
  encode(sha256(coalesce(r.rolpassword, '')::bytea), 'hex'),
  (SELECT string_agg(g.rolname, ',' ORDER BY g.rolname) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
    WHERE m.member = r.oid)
FROM pg_authid r ORDER BY 1
"""
SETTINGS: Final = """
SELECT coalesce(d.datname, ''), coalesce(r.rolname, ''), s.setconfig::text FROM pg_db_role_setting s
LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole ORDER BY 1, 2
"""
DATABASES: Final = """
SELECT d.datname, r.rolname, d.datcollate, d.datctype, pg_encoding_to_char(d.encoding), coalesce(d.datcollversion, ''),
  (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
    FROM unnest(coalesce(d.datacl, acldefault('d', d.datdba))) a)
FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba ORDER BY 1
"""
SLOTS: Final = """
SELECT slot_name, plugin, slot_type, database FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""
SUBSCRIPTIONS: Final = """
SELECT d.datname, s.subname, s.subslotname, s.subpublications::text FROM pg_subscription s
  JOIN pg_database d ON d.oid = s.subdbid ORDER BY 1, 2
"""
PUBLICATIONS: Final = """
SELECT p.pubname, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete,
  (SELECT string_agg(t.schemaname || '.' || t.tablename, ',' ORDER BY t.schemaname, t.tablename)
    FROM pg_publication_tables t WHERE t.pubname = p.pubname)
FROM pg_publication p ORDER BY 1
"""
COLUMNS: Final = """
SELECT n.nspname, c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
  pg_get_expr(d.adbin, d.adrelid), r.rolname, (SELECT string_agg(g::text, ',' ORDER BY g::text COLLATE "C")
    FROM unnest(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) g)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r','p','v','m','S','f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  ORDER BY 1, 2, a.attnum
"""
DEFINITIONS: Final = """
SELECT 'index', schemaname || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg\\_%'
  AND schemaname <> 'information_schema'
UNION ALL SELECT 'view', schemaname || '.' || viewname, definition FROM pg_views
  WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'information_schema'
UNION ALL SELECT 'constraint', conrelid::regclass::text || '.' || conname, pg_get_constraintdef(c.oid)
  FROM pg_constraint c
  JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND p.prokind IN ('f','p')
UNION ALL SELECT 'trigger', tgrelid::regclass::text || '.' || tgname, tgenabled::text || pg_get_triggerdef(oid)
  FROM pg_trigger
  WHERE NOT tgisinternal
UNION ALL SELECT 'event trigger', evtname, concat_ws(' ', evtevent, evtenabled, evtfoid::regproc, evttags)
  FROM pg_event_trigger
UNION ALL SELECT 'row security', c.oid::regclass::text, concat_ws(' ', relrowsecurity, relforcerowsecurity)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p') AND n.nspname NOT LIKE 'pg\\_%'
    AND n.nspname <> 'information_schema'
UNION ALL SELECT 'policy', schemaname || '.' || tablename || '.' || policyname, concat_ws(' ', permissive, roles,
  cmd, qual, with_check)
  FROM pg_policies
UNION ALL SELECT 'labels of a type', format_type(enumtypid, NULL), string_agg(quote_literal(enumlabel), ','
  ORDER BY enumsortorder) FROM pg_enum
  GROUP BY enumtypid
UNION ALL SELECT 'domain', t.oid::regtype::text, concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
  t.typnotnull, t.typdefault) FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND n.nspname NOT LIKE 'pg\\_%'
    AND n.nspname <> 'information_schema'
UNION ALL SELECT 'publication', pubname, concat_ws(' ', puballtables, pubinsert, pubupdate, pubdelete)
  FROM pg_publication
UNION ALL SELECT 'extension', extname, extversion FROM pg_extension ORDER BY 1, 2
"""
TABLES: Final = """
SELECT n.nspname, c.relname,
  (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
   WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1
     AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r','m') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2
"""
SUM_OF_ROWS: Final = """
SELECT count(*), coalesce(sum(('x' || left(h, 15))::bit(60)::bigint::numeric), 0)::text,
  coalesce(sum(('x' || substr(h, 16, 15))::bit(60)::bigint::numeric), 0)::text, {highest}
FROM (SELECT encode(sha256(convert_to(ROW({row}.*)::text, 'UTF8')), 'hex') AS h, {key} AS k
  FROM ONLY {table} AS {row} {where}) AS counted
"""
ROW: Final = "longshore: the whole row"
"""What a row is called in the question. `ROW(name.*)` is the row whatever its columns are called; `name` alone would be
a column of that
name (docs: "Value Expressions", Row Constructors; "Composite Types", Using Composite Types in Queries)."""
SEQUENCES: Final = (
    "SELECT schemaname, sequencename, coalesce(last_value, start_value - increment_by), increment_by FROM "
    "pg_sequences ORDER BY 1, 2"
)
LARGE_OBJECTS: Final = """
SELECT count(*), coalesce(max(oid), 0)::bigint, coalesce(sum(('x' || left(h, 15))::bit(60)::bigint::numeric), 0)::text
FROM (SELECT oid, encode(sha256(oid::text::bytea || lo_get(oid)), 'hex') AS h FROM pg_largeobject_metadata
  WHERE oid <= %s) objects
"""
LITERAL: Final = r"'(?:[^']|'')*'"
LITERAL_CAST_TWICE: Final = re.compile(rf"\(({LITERAL})::character varying\)::text")
LITERAL_CAST: Final = re.compile(rf"({LITERAL})::character varying\b")
ARRAY_CAST: Final = re.compile(rf"\((ARRAY\[(?:{LITERAL}|[^][])*\])\)::text\[\]")
IDENTITY: Final = "cluster: identity and version"
SLOTS_PART: Final = "cluster: replication slots"
"""A dump has none."""
HIGHEST_OID: Final = 4_294_967_295


def _digest(*values: object) -> str:
    return hashlib.sha256("\0".join(map(str, values)).encode()).hexdigest()


def _rows(connection: Connection, query: str) -> FingerprintPart:
    rows = connection.execute(query.encode()).fetchall()
    return FingerprintPart(len(rows), _digest(*rows))


def _definitions(connection: Connection) -> FingerprintPart:
    rows = sorted(
        (str(kind), str(name), one_spelling(str(text)))
        for kind, name, text in connection.execute(DEFINITIONS.encode()).fetchall()
    )
    return FingerprintPart(len(rows), _digest(*rows))


def one_spelling(definition: str) -> str:
    """Return a definition in the one of two spellings that a dump and its restore turn into each other.

    `x = ANY (ARRAY['a'::varchar]::text[])` comes back as `x = ANY (ARRAY['a'::varchar::text])`, with the same meaning:
    the parser moves the cast into the array (seen with PostgreSQL 17 and n8n's checks).
    """
    plain = LITERAL_CAST_TWICE.sub(r"\1", definition)
    return ARRAY_CAST.sub(r"\1", LITERAL_CAST.sub(r"\1", plain))


def cluster_parts(connection: Connection) -> dict[str, FingerprintPart]:
    """Return what belongs to the whole cluster; raises psycopg errors."""
    identifier = connection.execute(
        "SELECT system_identifier::text, current_setting('server_version_num') FROM pg_control_system()"
    ).fetchone()
    return {
        IDENTITY: FingerprintPart(1, _digest(identifier)),
        "cluster: roles, memberships and passwords": _rows(connection, ROLES),
        "cluster: settings of roles and databases": _rows(connection, SETTINGS),
        "cluster: databases, owners and collations": _rows(connection, DATABASES),
        SLOTS_PART: _rows(connection, SLOTS),
        "cluster: subscriptions": _rows(connection, SUBSCRIPTIONS),
    }


def database_parts(
    connection: Connection, database: str, before: Mapping[str, FingerprintPart], changing: Collection[str]
) -> dict[str, FingerprintPart]:
    """Return the parts of one database, within the bounds of `before` where it has the part."""
    parts = {
        f"{database}: tables, columns and rights": _rows(connection, COLUMNS),
        f"{database}: indexes, views, constraints, functions, extensions": _definitions(connection),
        f"{database}: publications": _rows(connection, PUBLICATIONS),
    }
    for schema, table, key in connection.execute(TABLES.encode()).fetchall():
        name = f"{database}: table {schema}.{table}"
        holds = (
            Validity.AT_CUTOVER
            if key is None or {table, f"{schema}.{table}"} & set(changing)
            else Validity.SINCE_CUTOVER
        )
        parts[name] = _table(connection, (schema, table), key, before.get(name), holds)
    for schema, sequence, value, step in connection.execute(SEQUENCES.encode()).fetchall():
        name = f"{database}: sequence {schema}.{sequence}"
        parts[name] = _sequence(int(value), int(step), before.get(name))
    name = f"{database}: large objects"
    parts[name] = _large_objects(connection, before.get(name))
    return parts


def _table(
    connection: Connection, table: tuple[str, str], key: str | None, before: FingerprintPart | None, holds: Validity
) -> FingerprintPart:
    bound = dict(before.bound) if before and "key_max" in before.bound else {}
    column = sql.Identifier(key) if key else sql.SQL("NULL::bigint")
    query = sql.SQL(SUM_OF_ROWS).format(
        table=sql.Identifier(*table),
        row=sql.Identifier(ROW),
        key=column,
        highest=sql.SQL("max(k)"),
        where=sql.SQL("WHERE {} <= {}").format(column, sql.Literal(bound["key_max"])) if key and bound else sql.SQL(""),
    )
    count, first, second, highest = connection.execute(query).fetchone() or (0, "0", "0", None)
    if key and not bound:
        bound = {"key_max": int(highest) if highest is not None else -1}
    return FingerprintPart(int(count), _digest(count, first, second), holds, bound)


def _sequence(value: int, step: int, before: FingerprintPart | None) -> FingerprintPart:
    """Return a part that stays the same while the sequence has not gone back behind where it was."""
    floor = int(before.bound["at_least"]) if before and "at_least" in before.bound else value
    forward = value >= floor if step > 0 else value <= floor
    return FingerprintPart(
        1, "not gone back" if forward else f"gone back to {value}", Validity.SINCE_CUTOVER, {"at_least": floor}
    )


def _large_objects(connection: Connection, before: FingerprintPart | None) -> FingerprintPart:
    limit = int(before.bound["oid_max"]) if before and "oid_max" in before.bound else HIGHEST_OID
    count, highest, total = connection.execute(LARGE_OBJECTS, (limit,)).fetchone() or (0, 0, "0")
    return FingerprintPart(
        int(count),
        _digest(count, total),
        Validity.SINCE_CUTOVER,
        {"oid_max": int(highest) if before is None else limit},
    )
