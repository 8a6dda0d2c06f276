-- The first layout. {s} stands for the schema.

CREATE TABLE {s}.meta (
	one_row    boolean PRIMARY KEY DEFAULT true CHECK (one_row),
	format     integer NOT NULL,
	generation bigint  NOT NULL,
	buckets    integer NOT NULL,
	prefix     text    NOT NULL
);
INSERT INTO {s}.meta (format, generation, buckets, prefix) VALUES (1, 1, 1, '');

-- One row for each session, also for an erased one: then tenant and id are null, and until and keys are its tombstone.
-- So that everything that decides between an append and an erase is a change of one row, found by the hash of its key.
-- Room is left in the pages (fillfactor), because the row is changed by every append.
CREATE TABLE {s}.sessions (
	hash    bytea  PRIMARY KEY,
	sid     bigint GENERATED ALWAYS AS IDENTITY,
	tenant  text   COLLATE "C",
	id      text   COLLATE "C",
	life    bigint NOT NULL,
	len     bigint NOT NULL,
	last_id text   NOT NULL,
	owner   text   COLLATE "C" NOT NULL,
	epoch   bigint NOT NULL,
	due     bigint NOT NULL,
	expiry  bigint NOT NULL,
	updated bigint NOT NULL,
	until   bigint,
	keys    text[],
	CHECK ((tenant IS NULL) = (id IS NULL)),
	CHECK ((until IS NULL) = (id IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX directory ON {s}.sessions (tenant, id) WHERE id IS NOT NULL;
CREATE INDEX agenda ON {s}.sessions (owner, due) WHERE due <> 0;
CREATE INDEX tombstones ON {s}.sessions (until) WHERE until IS NOT NULL;

CREATE TABLE {s}.records (
	sid  bigint NOT NULL,
	seq  bigint NOT NULL,
	id   text   NOT NULL,
	data bytea  NOT NULL,
	PRIMARY KEY (sid, seq)
);

CREATE TABLE {s}.snapshots (
	sid  bigint PRIMARY KEY,
	seq  bigint NOT NULL,
	data bytea  NOT NULL
);

-- Blobs stand under the hash of the key, because one may come before its session's first record.
CREATE TABLE {s}.blobs (
	bid     bigint GENERATED ALWAYS AS IDENTITY,
	hash    bytea  NOT NULL,
	life    bigint NOT NULL,
	digest  text   COLLATE "C" NOT NULL,
	size    bigint NOT NULL,
	written bigint NOT NULL,
	PRIMARY KEY (hash, life, digest)
);
CREATE TABLE {s}.blob_parts (
	bid  bigint  NOT NULL,
	part integer NOT NULL,
	data bytea   NOT NULL,
	PRIMARY KEY (bid, part)
);
ALTER TABLE {s}.blob_parts ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE {s}.replicas (
	id      text COLLATE "C" PRIMARY KEY,
	counter bigint NOT NULL,
	info    bytea
) WITH (fillfactor = 50);

CREATE TABLE {s}.hints (
	name  text COLLATE "C" PRIMARY KEY,
	value bytea,
	until bigint NOT NULL
);
