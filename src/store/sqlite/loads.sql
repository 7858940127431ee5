-- Since version 3: what a heartbeat says of its node's load and clock; NULL where it does not.
ALTER TABLE nodes ADD COLUMN running INTEGER;
ALTER TABLE nodes ADD COLUMN skew_ms INTEGER; -- how far its wall clock is ahead of the store's
