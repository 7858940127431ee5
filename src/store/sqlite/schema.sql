-- The embedded store, version 1.
--
-- Instants are microseconds since 1970 by the cluster's clock, durations
-- microseconds, slots whole seconds since 1970 in UTC: datetime(slot, 'unixepoch').
-- The views at the end show them in words.

-- The cluster's clock: boot time plus an offset that belongs to one boot of the
-- kernel; and what must never go back.
CREATE TABLE clock (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id    TEXT    NOT NULL,
    offset     INTEGER NOT NULL,
    last_time  INTEGER NOT NULL,
    last_fence INTEGER NOT NULL
) STRICT;

-- The record of each slot that was claimed or made ready, with its lock: a lease runs
-- while state = 'running' and lapses_at lies ahead. A slot that is ready is to be
-- looked at from lapses_at on.
CREATE TABLE slots (
    cluster        TEXT    NOT NULL,
    job            TEXT    NOT NULL,
    slot           INTEGER NOT NULL,
    trigger_id     TEXT    NOT NULL, -- '' when it comes from the schedule
    state          TEXT    NOT NULL, -- running; handed_over, triggered, waiting, catch_up; or the outcome
    node           TEXT    NOT NULL,
    boot           TEXT    NOT NULL,
    token          TEXT    NOT NULL,
    attempt        INTEGER NOT NULL,
    fence          INTEGER NOT NULL,
    takeovers      INTEGER NOT NULL,
    failures       INTEGER NOT NULL,
    cancel         TEXT, -- why the run is to be cancelled
    claimed_at     INTEGER NOT NULL,
    lapses_at      INTEGER NOT NULL,
    keep_until     INTEGER NOT NULL,
    handed_over_by TEXT    NOT NULL, -- tokens, separated by a space
    PRIMARY KEY (cluster, job, slot, trigger_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX slots_open ON slots (cluster, lapses_at)
    WHERE state IN ('running', 'handed_over', 'triggered', 'waiting', 'catch_up');
CREATE INDEX slots_to_cancel ON slots (cluster) WHERE state = 'running' AND cancel IS NOT NULL;
CREATE INDEX slots_by_end ON slots (keep_until);

-- Whose turn it is, of each job that has one: the slot that has it, the newest that
-- waits because it was due, and all that wait in their order; '-' for none. It goes with
-- the last open slot of its job.
CREATE TABLE turns (
    cluster TEXT NOT NULL,
    job     TEXT NOT NULL,
    turn    TEXT NOT NULL,
    PRIMARY KEY (cluster, job)
) STRICT, WITHOUT ROWID;

-- Up to where the slots of a job's schedule are settled.
CREATE TABLE cursors (
    cluster    TEXT    NOT NULL,
    job        TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    slot       INTEGER NOT NULL,
    keep       INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    PRIMARY KEY (cluster, job, digest)
) STRICT, WITHOUT ROWID;

-- Runs that ended and ranges of slots that were missed. `number` counts the
-- entries of one job.
CREATE TABLE ledger (
    id          INTEGER PRIMARY KEY,
    cluster     TEXT    NOT NULL,
    job         TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    node        TEXT    NOT NULL,
    slot        INTEGER NOT NULL,
    trigger_id  TEXT    NOT NULL, -- '' when the slot comes from the schedule
    outcome     TEXT    NOT NULL,
    -- of a missed range
    slot_to     INTEGER,
    count       INTEGER,
    reason      TEXT,
    -- of a run
    run_id      TEXT,
    attempt     INTEGER,
    fence       INTEGER,
    started_at  INTEGER,
    finished_at INTEGER,
    exit_code   INTEGER,
    signal      INTEGER,
    error       TEXT
) STRICT;

CREATE UNIQUE INDEX ledger_by_job ON ledger (cluster, job, number);
CREATE INDEX ledger_by_slot ON ledger (cluster, job, slot);
CREATE INDEX ledger_by_time ON ledger (cluster, recorded_at);
CREATE INDEX ledger_by_node ON ledger (cluster, node, recorded_at);

-- The end of a run's output; it goes with its entry, or before.
CREATE TABLE tails (
    entry     INTEGER PRIMARY KEY REFERENCES ledger (id) ON DELETE CASCADE,
    cluster   TEXT    NOT NULL,
    job       TEXT    NOT NULL,
    succeeded INTEGER NOT NULL,
    tail      TEXT    NOT NULL
) STRICT;

CREATE INDEX tails_by_job ON tails (cluster, job, succeeded);

-- The last heartbeat of each node.
CREATE TABLE nodes (
    cluster      TEXT    NOT NULL,
    node         TEXT    NOT NULL,
    boot         TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    table_digest TEXT    NOT NULL,
    draining     INTEGER NOT NULL,
    keep         INTEGER NOT NULL,
    keep_until   INTEGER NOT NULL,
    PRIMARY KEY (cluster, node)
) STRICT, WITHOUT ROWID;

-- What people ask of the whole cluster: one row of each.
CREATE TABLE control (
    cluster TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL, -- raised by every command
    reload  INTEGER NOT NULL  -- the version of the last one to all nodes to load their tables anew
) STRICT, WITHOUT ROWID;

-- The version of the last command to one node to load its table anew.
CREATE TABLE reloads (
    cluster    TEXT    NOT NULL,
    node       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    PRIMARY KEY (cluster, node)
) STRICT, WITHOUT ROWID;

-- From when until when each job was paused, as far as that still matters:
-- 'SINCE-UNTIL SINCE-', the last one without an end while it lasts.
CREATE TABLE pauses (
    cluster TEXT NOT NULL,
    job     TEXT NOT NULL,
    pauses  TEXT NOT NULL,
    PRIMARY KEY (cluster, job)
) STRICT, WITHOUT ROWID;

-- What the tables that nodes go by say of each job: a line 'JOB DIGEST' for each.
CREATE TABLE published (
    cluster    TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    jobs       TEXT    NOT NULL,
    keep_until INTEGER NOT NULL,
    PRIMARY KEY (cluster, digest)
) STRICT, WITHOUT ROWID;

-- For people with the sqlite3 shell.
CREATE VIEW show_slots AS
    SELECT cluster, job, datetime(slot, 'unixepoch') AS slot, trigger_id, state, node, attempt,
           fence, takeovers, failures, cancel,
           datetime(lapses_at / 1000000, 'unixepoch') AS lapses_at, token
    FROM slots ORDER BY slots.slot DESC;
CREATE VIEW show_history AS
    SELECT cluster, job, datetime(slot, 'unixepoch') AS slot,
           trigger_id, datetime(slot_to, 'unixepoch') AS slot_to, count, outcome, reason, node,
           attempt,
           datetime(started_at / 1000000, 'unixepoch') AS started_at,
           datetime(finished_at / 1000000, 'unixepoch') AS finished_at,
           exit_code, signal, error
    FROM ledger ORDER BY id DESC;
