-- Since version 2: locks that stand alone, and tokens that are granted none any more.
CREATE TABLE locks (
    cluster   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    token     TEXT    NOT NULL, -- '' when it was released and is kept for its minimum hold time
    fence     INTEGER NOT NULL,
    metadata  TEXT    NOT NULL, -- what the holder says of itself
    lapses_at INTEGER NOT NULL,
    PRIMARY KEY (cluster, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX locks_by_end ON locks (lapses_at);

CREATE TABLE revoked (
    token      TEXT    NOT NULL PRIMARY KEY,
    keep_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_by_end ON revoked (keep_until);

-- For people with the sqlite3 shell.
CREATE VIEW show_locks AS
    SELECT cluster, name, fence, metadata, token = '' AS released,
           datetime(lapses_at / 1000000, 'unixepoch') AS lapses_at
    FROM locks ORDER BY name;
