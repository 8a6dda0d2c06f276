package config

import "time"

// Names of session stores, for [Session].Type.
const (
	InMemory = "in_memory"
	SQLite   = "sqlite"
	Redis    = "redis"
	DynamoDB = "dynamodb"
	Postgres = "postgres"
)

// When an append counts as written, for [RedisStore].Durability.
const (
	RedisAsync      = "async"
	RedisReplicated = "replicated"
)

// Session is where sessions are stored and for how long.
type Session struct {
	Type          string        `yaml:"type" default:"sqlite" enum:"in_memory,sqlite,redis,dynamodb,postgres" doc:"The store. in_memory forgets everything when the process ends."`
	TTL           time.Duration `yaml:"ttl" default:"604800" unit:"seconds" min:"1s" max:"87600h" doc:"How long an idle session is kept: seconds, or a duration."`
	AcceptLoss    bool          `yaml:"accept_loss" default:"false" doc:"Allow at_most_once tools on a store that may lose writes it has acknowledged."`
	Cache         Cache         `yaml:"cache" doc:"Sessions kept in memory by this process."`
	Retention     time.Duration `yaml:"retention" default:"604800" unit:"seconds" min:"1s" max:"87600h" doc:"How long records are kept that a snapshot covers: seconds, or a duration; at least execution.idempotency_ttl."`
	MaxBytes      int64         `yaml:"max_bytes" default:"268435456" min:"1" max:"1099511627776" unit:"bytes" doc:"Bytes of files and long tool results that one session may hold before it takes no more files."`
	SnapshotEvery int           `yaml:"snapshot_every" default:"256" min:"8" max:"1000000" doc:"Records between two snapshots of a session."`
	SQLite        SQLiteStore   `yaml:"sqlite" doc:"The store of type sqlite."`
	InMemory      MemoryStore   `yaml:"in_memory" optional:"true" doc:"The store of type in_memory."`
	Redis         RedisStore    `yaml:"redis" optional:"true" doc:"The store of type redis."`
	DynamoDB      DynamoStore   `yaml:"dynamodb" optional:"true" doc:"The store of type dynamodb."`
	Postgres      PostgresStore `yaml:"postgres" optional:"true" doc:"The store of type postgres."`
}

// Cache bounds the sessions kept in memory.
type Cache struct {
	Size int `yaml:"size" default:"256" min:"1" max:"10000000" doc:"Number of sessions."`
}

// SQLiteStore configures the store of type sqlite.
type SQLiteStore struct {
	Path string        `yaml:"path" default:"./data/agentkernel.db" required:"true" doc:"The database file, relative to the working directory; it and its folder are made if missing."`
	TTL  time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
}

// MemoryStore configures the store of type in_memory.
type MemoryStore struct {
	TTL time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
}

// RedisStore configures the store of type redis.
type RedisStore struct {
	URL        URL           `yaml:"url" optional:"true" schemes:"redis,rediss,redis+sentinel,redis+cluster" doc:"Where it is: one server, the sentinels that know it, or nodes of its cluster. Its password is a secret."`
	TTL        time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
	Prefix     string        `yaml:"prefix" default:"ak:sessions:" pattern:"^[A-Za-z0-9_.:/-]{1,128}$" doc:"What every key begins with. It cannot be changed later."`
	Durability string        `yaml:"durability" default:"async" enum:"async,replicated" doc:"When an append counts: async when the primary has it, replicated when replicas have it too."`
	Replicas   int           `yaml:"replicas" default:"1" min:"1" max:"5" doc:"Replicas that must have an append before it counts, with durability replicated."`
}

// DynamoStore configures the store of type dynamodb.
type DynamoStore struct {
	TableName string        `yaml:"table_name" optional:"true" pattern:"^[A-Za-z0-9_.-]{3,255}$" doc:"The table. ak store init makes it, or adds what it lacks."`
	TTL       time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
	Region    string        `yaml:"region" optional:"true" pattern:"^[a-z0-9-]+$" doc:"The table's region; without it the one that AWS tools find."`
	Endpoint  URL           `yaml:"endpoint" optional:"true" doc:"Another address than the region's, as of an emulator or a private endpoint."`
}

// PostgresStore configures the store of type postgres.
type PostgresStore struct {
	URL      URL           `yaml:"url" optional:"true" schemes:"postgres,postgresql" doc:"Where it is, and the database. Its password is a secret."`
	TTL      time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
	Schema   string        `yaml:"schema" default:"agentkernel" pattern:"^[a-z_][a-z0-9_]{0,62}$" doc:"The schema with the store's tables. ak store init makes it, and so does the first start."`
	MaxConns int           `yaml:"max_conns" default:"16" min:"2" max:"1000" doc:"Connections that one process opens at most."`
	Standby  string        `yaml:"standby" default:"none" enum:"none,async,sync" doc:"What takes over when the server dies: nothing, a standby that lags behind, or one that each commit waits for. ak doctor compares it with what the server says."`
}
