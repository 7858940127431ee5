-- Since version 4: what runs in progress print, while somebody watches on another node.
CREATE TABLE outputs (
    cluster       TEXT    NOT NULL,
    run           TEXT    NOT NULL,
    watched_until INTEGER NOT NULL,
    output        TEXT,             -- NULL before its node has shown it
    shown_until   INTEGER NOT NULL,
    PRIMARY KEY (cluster, run)
) STRICT;
