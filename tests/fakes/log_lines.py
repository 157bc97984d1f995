"""Log lines as the programs themselves print them: of trouble, and of an ordinary start. Texts from their sources, see
each product's own.
"""

from __future__ import annotations

from typing import Final

TROUBLE: Final[dict[str, tuple[str, ...]]] = {
    "caddy": (
        (
            '{"level":"info","ts":1739439798.97,"logger":"tls.obtain","msg":"obtaining '
            'certificate","identifier":"shop.example.com"}'
        ),
        (
            '{"level":"error","logger":"tls.obtain","msg":"could not get certificate from '
            'issuer","identifier":"shop.example.com"}'
        ),
        (
            '{"level":"error","logger":"tls.obtain","error":"HTTP 429 urn:ietf:params:acme:error:rateLimited - '
            'too many failed authorizations (5)"}'
        ),
        "Error: adapting config using caddyfile: /etc/caddy/Caddyfile:3: unrecognized directive: revese_proxy",
        "Error: loading initial config: loading new config: loading http app module: provision http",
        '{"level":"error","msg":"storage is not writable","error":"open /data/caddy/rw_test: permission denied"}',
        (
            '{"level":"error","logger":"http.log.error","msg":"dial tcp: lookup n8n on 127.0.0.11:53: no such '
            'host","status":502}'
        ),
        (
            '{"level":"error","logger":"http.log.error","msg":"dial tcp: lookup n8n on 127.0.0.11:53: server '
            'misbehaving","status":502}'
        ),
        '{"level":"error","msg":"write /data/caddy/x: no space left on device"}',
    ),
    "generic": ("FATAL: could not bind", "PANIC: out of memory"),
    "grafana": (
        (
            'logger=secrets level=error msg="Failed to lookup data key by id" id=abc error="cipher: message '
            'authentication failed"'
        ),
        'logger=secrets level=error msg="Failed to decrypt secret" error="unable to decrypt"',
        'logger=secrets level=error error="data key not found"',
        'logger=ngalert level=warn msg="decrypting value failed" err=x',
        'logger=sqlstore level=error msg="x" error="attempt to write a readonly database"',
        "GF_PATHS_DATA='/var/lib/grafana' is not writable.",
        'logger=context level=error msg="Request error" error="database is locked"',
        (
            'logger=frontendsettings level=error msg="Could not find plugin definition for data source" '
            "datasource_type=loki"
        ),
        "Error: migration failed (id = create dashboard table): attempt to write",
    ),
    "keycloak": (
        (
            "ERROR [org.keycloak.quarkus.runtime.cli.ExecutionExceptionHandler] (main) ERROR: Failed to obtain "
            "JDBC connection"
        ),
        "Caused by: java.sql.SQLException: Acquisition timeout while waiting for new connection",
        "INFO  [liquibase.lockservice] (main) Waiting for changelog lock....",
        "ERROR: hostname is not configured; either configure hostname, or set hostname-strict to false",
        (
            "WARN  [org.jgroups.protocols.pbcast.GMS] (main) kc-1: JOIN(kc-1) sent to kc-2 timed out (after 2000 "
            "ms), on try 0 of 10"
        ),
        (
            "WARN  [org.keycloak.quarkus.runtime.KeycloakMain] Running the server in development mode. DO NOT use "
            "this configuration in production."
        ),
        "ERROR [org.keycloak.services] Invalid token issuer. Expected 'https://id.example.com/realms/shop'",
        "ERROR: Failed to start server in (production) mode",
        "INFO  Database info: {databaseUrl=jdbc:h2:file:/opt/keycloak/data/h2/keycloakdb, databaseUser=SA}",
    ),
    "loki": (
        (
            'level=error caller=flush.go:152 component=ingester org_id=fake msg="failed to flush" err="failed to '
            'flush chunks: store put chunk"'
        ),
        (
            'level=error caller=fetcher.go:250 msg="failed downloading chunks" err="open /loki/chunks/ZmFrZS8x: '
            'no such file or directory"'
        ),
        (
            'level=error caller=batch.go:750 msg="error fetching chunks" err="open /loki/chunks/ZmFrZS8x: no such '
            'file or directory"'
        ),
        'level=error caller=log.go:216 msg="error running loki" err="mkdir : no such file or directory"',
        'level=error caller=retry.go:95 msg="error processing request" err="too many unhealthy instances in the ring"',
        'level=error msg="x" err="open /loki/index: permission denied"',
        'level=error msg="x" err="write /loki/wal/00000001: no space left on device"',
        'level=error msg="Error writing to WAL, disk full, no further messages will be logged for this error"',
        'level=warn msg="disk usage exceeded threshold, throttling writes" usage_percent=0.91',
    ),
    "metabase": (
        "2026-10-10 05:17:26,268 ERROR core.core :: Metabase Initialization FAILED: Failed to bind to /0.0.0.0:3000",
        (
            "ERROR util.encryption :: Cannot decrypt encrypted String. Have you changed or forgot to set "
            "MB_ENCRYPTION_SECRET_KEY?"
        ),
        "Database was encrypted with a different key than the MB_ENCRYPTION_SECRET_KEY environment contains",
        "Database is encrypted but the MB_ENCRYPTION_SECRET_KEY environment variable was NOT set",
        "ERROR models.interface :: Could not decrypt encrypted field! Have you forgot to set MB_ENCRYPTION_SECRET_KEY?",
        "INFO app-db.setup :: New MB_ENCRYPTION_SECRET_KEY environment variable set. Encrypting database...",
        "ERROR Unable to connect to Metabase postgres DB.",
        (
            "liquibase.exception.LockException: Could not acquire change log lock.  Currently locked by a1b2c3 "
            "since 1/1/26"
        ),
        "ERROR: Downgrade detected.",
        (
            "WARN db.env :: WARNING: Using Metabase with an H2 application database is not recommended for "
            "production deployments."
        ),
        "INFO db.setup :: Verifying h2 Database Connection ...",
    ),
    "minio": (
        "FATAL Unable to initialize backend: Unable to write to the backend",
        "Error: drive not found (cmd.StorageErr)",
        "API: SYSTEM() Error: file access denied (cmd.StorageErr)",
        "WARN: Detected default credentials 'minioadmin:minioadmin', we recommend that you change these values",
        "Error: file is corrupted (cmd.StorageErr)",
        "Error: write /data/x: no space left on device (*fs.PathError)",
        "API: PutObject(bucket=shop) Error: drive path full (cmd.StorageErr)",
        "Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed.",
        "Read failed. Insufficient number of drives online (offline-disks=0/1)",
        "Unsupported backend format [fs] found on /data",
    ),
    "n8n": (
        (
            "Error: Mismatching encryption keys. The encryption key in the settings file /home/node/.n8n/config "
            "does not match"
        ),
        "No encryption key found - Auto-generated and saved to: /home/node/.n8n/config",
        (
            'Credentials could not be decrypted. The likely reason is that a different "encryptionKey" was used '
            "to encrypt the data."
        ),
        "Error: error:1C800064:Provider routines::bad decrypt",
        "Database connection timed out",
        "Error: connect ECONNREFUSED 172.18.0.3:5432",
        "There was an error initializing DB",
        'password authentication failed for user "n8n"',
        '     => ERROR: Workflow "Orders" could not be activated on first try, keep trying if not an auth issue',
        'Activation of workflow "Orders" (12) did fail with error: "x" | retry in 60 seconds',
    ),
    "postgres": (
        "2026-01-01 00:00:00.000 UTC [1] PANIC:  could not locate a valid checkpoint record",
        "LOG:  database system was not properly shut down; automatic recovery in progress",
        'WARNING:  database "shop" has a collation version mismatch',
        'FATAL:  no pg_hba.conf entry for host "172.18.0.9", user "shop", database "shop", no encryption',
        'FATAL:  password authentication failed for user "shop"',
        "ERROR:  invalid page in block 0 of relation base/16384/16385",
        "WARNING:  page verification failed, calculated checksum 20919 but expected 4433",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "PostgreSQL init process complete; ready for start up.",
        'PANIC:  could not write to file "pg_wal/xlogtemp.26": No space left on device',
    ),
    "prometheus": (
        'level=error msg="Fatal error" err="opening storage failed: get segment range: segments are not sequential"',
        'level=error component=tsdb msg="reloadBlocks" err="unexpected corrupted block:map[01HX:read meta]"',
        (
            'level=warn component=tsdb msg="Encountered WAL read error, attempting repair" err="backfill '
            'checkpoint: corruption in segment"'
        ),
        (
            'level=warn component=tsdb msg="A lockfile from a previous execution already existed. It was '
            'replaced" file=/prometheus/lock'
        ),
        'level=error msg="Error loading config (--config.file=/etc/prometheus/prometheus.yml)" err="parsing YAML file"',
        'level=warn component="scrape manager" msg="Error on ingesting out-of-order samples" num_dropped=14',
        'level=error msg="Error opening query log file" err="open /prometheus/queries.active: permission denied"',
        "panic: Unable to create mmap-ed active query log",
        'level=error msg="compaction failed" err="write /prometheus/01HX/index: no space left on device"',
    ),
    "rabbitmq": (
        "2026-09-26 13:25:14.611048+00:00 [info] <0.254.0> DB: virgin node -> run peer discovery",
        (
            "[info] <0.230.0> Node database directory at /var/lib/rabbitmq/mnesia/rabbit@3f2a is empty. Assuming "
            "we need to join an existing cluster"
        ),
        (
            "[error] Failed to start Ranch listener {acceptor,{0,0,0,0},5672} in ranch_tcp:listen([]) for reason "
            "eaddrinuse (address already in use)"
        ),
        "[error] Error when reading /var/lib/rabbitmq/.erlang.cookie: eacces",
        "[warning] <0.450.0> memory resource limit alarm set on node rabbit@mq.",
        "[error] <0.230.0> Feature flags: {error,incompatible_feature_flags}",
        "[error] <0.700.0> PLAIN login refused: user 'shop' - invalid credentials",
        '[error] <0.600.0> Unable to recover vhost <<"/">> data. Reason {badmatch,x}',
    ),
    "redis": (
        "1:M 05 Dec 2026 23:10:01.000 # Fatal error loading the DB, check server logs. Exiting.",
        "1:M 05 Dec 2026 23:10:01.000 # Bad file format reading the append only file: make a backup of your AOF file",
        "1:M 05 Dec 2026 23:10:01.000 # Wrong signature trying to load DB from file",
        "1:M 05 Dec 2026 23:10:01.000 # Can't handle RDB format version 12",
        "1:M 05 Dec 2026 23:10:01.000 # Background saving error",
        "1:M 05 Dec 2026 23:10:01.000 # Can't save in background: fork: Cannot allocate memory",
        "1:M 05 Dec 2026 23:10:01.000 # Out Of Memory allocating 262144 bytes!",
        "1:S 05 Dec 2026 23:10:01.000 * Connecting to MASTER 10.0.0.5:6379",
        "1:M 05 Dec 2026 23:10:01.000 * Creating AOF base file appendonly.aof.1.base.rdb on server start",
        (
            "1:M 05 Dec 2026 23:10:01.000 # !!! Warning: short read while loading the AOF file "
            "appendonly.aof.1.incr.aof!!!"
        ),
        (
            "1:M 05 Dec 2026 23:10:01.000 # AOF loaded anyway because aof-load-truncated is enabled, truncating "
            "the AOF appendonly.aof at offset 88"
        ),
        "1:M 05 Dec 2026 23:10:01.000 # Write error saving DB on disk(rdbSaveRio): No space left on device",
        "1:M 05 Dec 2026 23:10:01.000 # Error writing to the AOF file: No space left on device",
    ),
    "temporal": (
        '{"level":"fatal","msg":"sql schema version compatibility check failed: no usable database connection found"}',
        '{"level":"fatal","msg":"unable to open database file: out of memory (14)"}',
        (
            '{"level":"fatal","msg":"version mismatch for keyspace/database: \\"temporal\\". Expected version: '
            '1.14 cannot be greater than 1.13"}'
        ),
        (
            '{"level":"error","msg":"Supplied configuration key/value mismatches persisted cluster metadata. '
            'Continuing with the persisted value"}'
        ),
        '{"level":"error","msg":"Persistent store operation failure","store-operation":"update-shard"}',
        '{"level":"warn","msg":"unable to bootstrap ringpop. retrying"}',
        '{"level":"error","msg":"database disk image is malformed (11)"}',
        '{"level":"error","msg":"database or disk is full (13)"}',
    ),
    "waha": (
        "[shop] Connection closed due to 'Error: Stream Errored (conflict)', do not reconnect the session.",
        '{"content":[{"tag":"conflict","attrs":{"type":"device_removed"}}]}',
        "[shop] Session has been logged out.",
        "Failed to create /app/.sessions/webjs/default/session-shop/SingletonLock: File exists (17)",
        "error: sorry, too many clients already",
        '{"event":"session.status","session":"shop","payload":{"name":"shop","status":"SCAN_QR_CODE"}}',
        '{"event":"session.status","session":"shop","payload":{"name":"shop","status":"FAILED"}}',
    ),
}

ORDINARY: Final[dict[str, tuple[str, ...]]] = {
    "caddy": (
        '{"level":"info","ts":1.0,"msg":"using config from file","file":"/etc/caddy/Caddyfile"}',
        '{"level":"info","ts":1.0,"msg":"adapted config to JSON","adapter":"caddyfile"}',
        '{"level":"info","msg":"serving initial configuration"}',
    ),
    "grafana": (
        'logger=migrator level=info msg="migrations completed" performed=0 skipped=600',
        'logger=http.server level=info msg="HTTP Server Listen"',
    ),
    "keycloak": (
        "INFO  [io.quarkus] (main) Keycloak 26.4.7 on JVM started in 9.1s. Listening on: http://0.0.0.0:8080",
    ),
    "loki": (
        'level=info caller=recovery.go:40 msg="WAL recovery finished" time=1.2s',
        'level=info caller=loki.go:505 msg="Loki started"',
    ),
    "metabase": (
        "INFO db.setup :: Verifying postgres Database Connection ...",
        "INFO core.core :: Metabase Initialization COMPLETE in 15.1 s",
    ),
    "minio": ("MinIO Object Storage Server", "INFO: Exiting on signal: TERMINATED"),
    "n8n": ("n8n ready on ::, port 5678", 'Activated workflow "Orders" (ID: 12)'),
    "postgres": (
        "PostgreSQL Database directory appears to contain a database; Skipping initialization",
        "LOG:  database system was shut down at 2026-01-01 00:00:00 UTC",
        "FATAL:  the database system is starting up",
    ),
    "prometheus": (
        'level=info msg="No time or size retention was set so using the default time retention" duration=15d',
        'level=info component=tsdb msg="WAL segment loaded" segment=3 maxSegment=3',
    ),
    "rabbitmq": (
        "[info] <0.230.0> Server startup complete; 4 plugins started.",
        (
            "[error] Discarding message {'$gen_call',{<0.228.0>,x}} from <0.228.0> to <0.1647.0> in an old "
            "incarnation (3) of this node (1)"
        ),
    ),
    "redis": (
        "1:M 05 Dec 2026 23:10:01.000 * DB loaded from append only file: 0.001 seconds",
        "1:M 05 Dec 2026 23:10:01.000 * Ready to accept connections tcp",
    ),
    "temporal": ('{"level":"info","msg":"Frontend is now healthy"}',),
    "waha": ("[shop] Restarting STOPPED session...", "WhatsApp HTTP API is running on: http://[::1]:3000"),
}
