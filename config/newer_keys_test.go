package config

var (
	amount = []string{`text`, `-1`, `-0.5`, `true`, `[1]`, `1000001`, `null`}
	lists  = []string{`other`, `[5]`, `{}`, `[null]`}
	shapes = []string{`text`, `[]`, `null`, `5`}
)

// newerSamples go with samples; see there.
var newerSamples = map[string]sample{
	"api.max_body":      {good: `2048`, bad: append(number, `1023`, `1073741825`), vars: []string{"1023", "1MiB", ""}},
	"api.max_files":     {good: `0`, bad: append(number, `-1`, `1001`), vars: []string{"-1", "many"}},
	"api.max_file_size": {good: `1`, bad: append(number, `0`), vars: []string{"0", "10MB"}},
	"api.max_streams":   {good: `5`, bad: append(number, `0`), vars: []string{"0", "x"}},
	"api.body_timeout":  {good: `5s`, bad: duration, deep: []string{`0s`, `2h`}, vars: []string{"0s", "30"}},

	"admin.host": {good: `localhost`, bad: text, deep: []string{`0.0.0.0`, `example.com`, `""`, `"[::1]"`}, vars: []string{"0.0.0.0", "::", ""}},
	"admin.port": {good: `6060`, bad: append(number, `-1`, `65536`), deep: []string{`8000`}, vars: []string{"-1", "8000", "pprof"}},

	"auth.keys.*.id":        {in: keyed, at: "auth.keys.0.id", good: `second`, bad: append(text, `"a b"`, `""`), vars: []string{"a b", ""}},
	"auth.keys.*.hash":      {in: keyed, at: "auth.keys.0.hash", good: `sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2`, bad: append(text, `ak_plain_key`, `"sha256:"`, `"sha256:B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2B2"`, `<file:hash>`), vars: []string{"ak_plain_key", "", "<file:hash>", "md5:00"}},
	"auth.keys.*.tenant":    {in: keyed, at: "auth.keys.0.tenant", good: `acme.eu`, bad: append(text, `"a b"`, `..`), vars: []string{"a/b", "."}},
	"auth.keys.*.roles":     {in: keyed, at: "auth.keys.0.roles", good: `[approver, operator]`, env: `approver, operator`, bad: []string{`user`, `[admin]`, `[5]`, `{}`}, deep: []string{`[]`}, vars: []string{"admin", "", "user,", `["user"`}},
	"auth.jwt.issuer":       {in: signed, at: "auth.jwt.issuer", good: `https://id.example.org/x`, bad: text, deep: []string{`id.example.org`, `""`, `"https://h/{x}"`}, vars: []string{"id.example.org", "", "ftp://h"}},
	"auth.jwt.audience":     {in: signed, at: "auth.jwt.audience", good: `ours`, bad: text, deep: []string{`""`}, vars: []string{""}},
	"auth.jwt.algorithms":   {in: signed, at: "auth.jwt.algorithms", good: `[PS512, EdDSA]`, env: `PS512,EdDSA`, bad: []string{`RS256`, `[HS256]`, `[none]`, `[rs256]`, `[5]`}, deep: []string{`[]`}, vars: []string{"HS256", "none", "RS256,HS512", ""}},
	"auth.jwt.jwks_url":     {in: signed, at: "auth.jwt.jwks_url", good: `https://id.example.org/keys`, bad: append(text, `/keys`), deep: []string{`"https://h/{kid}"`, `"https://"`}, vars: []string{"keys", "https://h/{kid}"}},
	"auth.jwt.tenant_claim": {in: signed, at: "auth.jwt.tenant_claim", good: `org`, bad: text, vars: missing},
	"auth.jwt.roles_claim":  {in: signed, at: "auth.jwt.roles_claim", good: `roles`, bad: text, vars: missing},

	"session.retention":           {good: `86400`, bad: seconds, deep: []string{`86399`, `1h`}, vars: []string{"0", "60", "1 day"}},
	"session.max_bytes":           {good: `1048576`, bad: append(number, `0`), vars: []string{"0", "often"}},
	"session.snapshot_every":      {good: `8`, bad: append(number, `7`), vars: []string{"7", "often"}},
	"session.redis.url":           {good: `redis+sentinel://a:1,b:2/mymaster/0`, want: `"redis+sentinel://a:1,b:2/mymaster/0"`, bad: append(text, `127.0.0.1:6379`, `http://h`, `"redis:"`), deep: []string{`"redis://"`, `"redis://u:a/b@h"`, `"redis://u:a b@h"`, `"redis://h/{x}"`, `"redis://u:a#b@h"`}, vars: []string{"h:6379", "redis://", "redis://u:p?w@h"}},
	"session.redis.ttl":           {good: `60`, bad: seconds, vars: []string{"0", "x"}},
	"session.redis.prefix":        {good: `"ours:"`, env: `ours:`, bad: append(text, `"a b"`, `"{a}"`, `""`), vars: []string{"", "a b", "{x}"}},
	"session.redis.durability":    {good: `replicated`, bad: append(text, `sync`, `""`), vars: []string{"sync", ""}},
	"session.redis.replicas":      {good: `2`, bad: append(number, `0`, `6`), vars: []string{"0", "all"}},
	"session.dynamodb.table_name": {good: `ours.sessions-1`, bad: append(text, `ab`, `"a b"`), vars: []string{"a b", "x"}},
	"session.dynamodb.ttl":        {good: `60`, bad: seconds, vars: []string{"0", "x"}},
	"session.dynamodb.region":     {good: `eu-central-1`, bad: append(text, `"a b"`, `EU`), vars: []string{"eu central", "EU"}},
	"session.dynamodb.endpoint":   {good: `http://127.0.0.1:4567`, bad: append(text, `127.0.0.1:4567`, `ftp://h`), deep: []string{`"http://"`, `"http://h/{x}"`}, vars: []string{"localhost", "http://a b/"}},
	"session.postgres.url":        {good: `postgresql://a:1,b:2/db?target_session_attrs=primary`, bad: append(text, `host=h`, `mysql://h`), deep: []string{`"postgres://"`, `"postgres://u:a/b@h/db"`, `"postgres://h/{db}"`}, vars: []string{"host=h password=x", "postgres://", "postgres://u:p?w@h/db"}},
	"session.postgres.ttl":        {good: `60`, bad: seconds, vars: []string{"0", "x"}},
	"session.postgres.schema":     {good: `ours_1`, bad: append(text, `"a b"`, `Ours`, `1a`, `""`), vars: []string{"", "a;b", "A"}},
	"session.postgres.max_conns":  {good: `4`, bad: append(number, `1`, `1001`), vars: []string{"1", "x"}},
	"session.postgres.standby":    {good: `sync`, bad: append(text, `maybe`, `""`), vars: []string{"maybe", ""}},

	"execution.zone":     {good: `eu-central-1a`, bad: append(text, `"a b"`), vars: []string{"a b", "{zone}"}},
	"execution.wait_max": {good: `48h`, bad: duration, deep: []string{`0s`, `500ms`}, vars: []string{"0s", "24"}},

	"providers.*.region":    {at: "providers.cloud.region", good: `eu-central-1`, bad: append(text, `"a b"`, `EU`), vars: []string{"eu central", "EU"}},
	"models.*.window":       {at: `models."local/m.1".window`, good: `400000`, bad: append(number, `-1`), vars: []string{"-1", "400k"}},
	"models.*.price.input":  {at: `models."local/m.1".price.input`, good: `0.25`, bad: amount, deep: []string{`.inf`, `.nan`}, vars: []string{"-1", "NaN", "Inf", "$2", "", "0,25"}},
	"models.*.price.cached": {at: `models."local/m.1".price.cached`, good: `0.025`, bad: amount, deep: []string{`.nan`}, vars: []string{"-0.1", "x"}},
	"models.*.price.output": {at: `models."local/m.1".price.output`, good: `2`, bad: amount, deep: []string{`.nan`}, vars: []string{"1e7", "x"}},

	"tools.*.approval.when":               {at: "tools.0.approval.when", good: `always`, bad: append(text, `allways`, `""`), vars: []string{"sometimes", ""}},
	"tools.*.approval.expires":            {at: "tools.0.approval.expires", good: `1h`, bad: duration, deep: []string{`0s`, `10ms`}, vars: []string{"0s", "24"}},
	"tools.*.approval.roles":              {at: "tools.0.approval.roles", good: `[operator]`, env: `operator`, bad: append(lists, `[admin]`), vars: []string{"admin", `["user"`}},
	"tools.*.mcp.command":                 {at: "tools.2.mcp.command", good: `[npx, "-y", server]`, env: `["npx","-y","server"]`, bad: []string{`npx`, `[5]`, `{}`, `[null]`}, deep: []string{`[]`, `[""]`}, vars: []string{"", `["npx"`, `[5]`}},
	"tools.*.mcp.env.*":                   {at: "tools.2.mcp.env.TOKEN", good: `v`, want: `"***"`, bad: text, deep: []string{`"***"`, `<file:missing>`}, vars: missing},
	"tools.*.mcp.url":                     {at: "tools.3.mcp.url", good: `https://example.com/mcp`, bad: append(text, `/mcp`), deep: []string{`""`, `"http://h/{x}"`}, vars: []string{"mcp", "", "http://h/{x}"}},
	"tools.*.mcp.headers.*":               {at: "tools.3.mcp.headers.X-Extra", good: `v`, want: `"***"`, bad: text, deep: []string{`"a\nb"`}, vars: []string{"a\nb", "<file:missing>"}},
	"tools.*.mcp.only":                    {at: "tools.3.mcp.only", good: `[a.b, c]`, env: `a.b, c`, bad: lists, deep: []string{`["a b"]`, `[""]`, `[a, a]`}, vars: []string{"a b", "a,a"}},
	"tools.*.mcp.each.*.effect":           {at: "tools.2.mcp.each.read_file.effect", good: `read_only`, bad: append(text, `readonly`), vars: []string{"readonly"}},
	"tools.*.mcp.each.*.refuses":          {at: `tools.2.mcp.each."write.file".refuses`, good: `stale_epoch`, bad: append(text, `epoch`), vars: []string{"epoch"}},
	"tools.*.mcp.each.*.timeout":          {at: "tools.2.mcp.each.read_file.timeout", good: `3s`, bad: duration, deep: []string{`0s`}, vars: []string{"0s", "3"}},
	"tools.*.mcp.each.*.on_doubt":         {at: `tools.2.mcp.each."write.file".on_doubt`, good: `fail`, bad: append(text, `asks`), vars: []string{"asks"}},
	"tools.*.mcp.each.*.approval.when":    {at: "tools.2.mcp.each.read_file.approval.when", good: `always`, bad: append(text, `ever`), vars: []string{"ever", ""}},
	"tools.*.mcp.each.*.approval.expires": {at: "tools.2.mcp.each.read_file.approval.expires", good: `5m`, bad: duration, deep: []string{`0s`}, vars: []string{"0s", "5"}},
	"tools.*.mcp.each.*.approval.roles":   {at: "tools.2.mcp.each.read_file.approval.roles", good: `[approver]`, env: `approver`, bad: append(lists, `[admin]`), vars: []string{"admin"}},

	"agents.*.limits.attempts": {at: "agents.0.limits.attempts", good: `5`, bad: append(number, `-1`), vars: []string{"-1", "x"}},
	"agents.*.limits.tokens":   {at: "agents.0.limits.tokens", good: `9000`, bad: append(number, `-1`), vars: []string{"-1", "9k"}},
	"agents.*.limits.money":    {at: "agents.0.limits.money", good: `1.5`, bad: amount, deep: []string{`.nan`}, vars: []string{"-1", "1$", "nan"}},
	"agents.*.limits.repeats":  {at: "agents.0.limits.repeats", good: `2`, bad: append(number, `1`), vars: []string{"1", "x"}},
	"agents.*.handoffs":        {at: "agents.0.handoffs", good: `[other]`, env: `other`, bad: lists, deep: []string{`[othr]`, `[helper]`, `[other, other]`}, vars: []string{"othr", "helper", `["other"`}},
	"agents.*.subagents":       {at: "agents.0.subagents", good: `[other]`, env: `["other"]`, bad: lists, deep: []string{`[nobody]`, `[helper]`, `[other, other]`}, vars: []string{"nobody", "helper"}},
	"agents.*.output_schema":   {at: "agents.0.output_schema", good: `{type: object, properties: {n: {type: number}}}`, env: `{"type":"object","properties":{"n":{"type":"number"}}}`, bad: shapes, deep: []string{`{type: array}`, `{type: objet}`, `{}`, `{type: object, title: "<file:x>"}`, `{$ref: "http://h/x"}`}, vars: []string{"{", "{}", "", `{"type":"array"}`}},
	"agents.*.on_disconnect":   {at: "agents.0.on_disconnect", good: `cancel`, bad: append(text, `stop`), vars: []string{"stop", ""}},
	"agents.*.on_store_outage": {at: "agents.0.on_store_outage", good: `stateless`, bad: append(text, `stateful`, `""`), vars: []string{"retry", ""}},
	"agents.*.history.turns":   {at: "agents.0.history.turns", good: `20`, bad: append(number, `0`), vars: []string{"0", "x"}},
	"agents.*.history.tokens":  {at: "agents.0.history.tokens", good: `64000`, bad: append(number, `-1`), vars: []string{"-1", "64k"}},
	"agents.*.history.compact": {at: "agents.0.history.compact", good: `drop`, bad: append(text, `sumarize`), vars: []string{"sumarize", ""}},

	"agents.*.hooks.before.*.name":           {at: "agents.0.hooks.before.0.name", good: `check`, bad: append(text, `"a b"`, `""`), vars: []string{"a b", ""}},
	"agents.*.hooks.before.*.http.method":    {at: "agents.0.hooks.before.0.http.method", good: `POST`, bad: append(text, `post`), deep: []string{`GET`, `DELETE`}, vars: []string{"PUT", "post"}},
	"agents.*.hooks.before.*.http.url":       {at: "agents.0.hooks.before.0.http.url", good: `https://example.com/hook`, bad: append(text, `/hook`, `""`), deep: []string{`"http://h/{idempotency_key}"`, `"http://h:0/"`}, vars: []string{"/hook", "http://h/{x}", ""}},
	"agents.*.hooks.before.*.http.headers.*": {at: "agents.0.hooks.before.0.http.headers.X-Extra", good: `v`, want: `"***"`, bad: text, deep: []string{`"a\nb"`, `"***"`}, vars: []string{"a\nb", "<file:missing>"}},
	"agents.*.hooks.before.*.timeout":        {at: "agents.0.hooks.before.0.timeout", good: `2s`, bad: duration, deep: []string{`0s`, `2h`}, vars: []string{"0s", "2"}},
	"agents.*.hooks.after.*.name":            {at: "agents.0.hooks.after.0.name", good: `check`, bad: append(text, `"a b"`, `""`), vars: []string{"a b", ""}},
	"agents.*.hooks.after.*.http.method":     {at: "agents.0.hooks.after.0.http.method", good: `POST`, bad: append(text, `post`), deep: []string{`GET`, `DELETE`}, vars: []string{"PUT", "post"}},
	"agents.*.hooks.after.*.http.url":        {at: "agents.0.hooks.after.0.http.url", good: `https://example.com/hook`, bad: append(text, `/hook`, `""`), deep: []string{`"http://h/{idempotency_key}"`, `"http://h:0/"`}, vars: []string{"/hook", "http://h/{x}", ""}},
	"agents.*.hooks.after.*.http.headers.*":  {at: "agents.0.hooks.after.0.http.headers.X-Extra", good: `v`, want: `"***"`, bad: text, deep: []string{`"a\nb"`, `"***"`}, vars: []string{"a\nb", "<file:missing>"}},
	"agents.*.hooks.after.*.timeout":         {at: "agents.0.hooks.after.0.timeout", good: `2s`, bad: duration, deep: []string{`0s`, `2h`}, vars: []string{"0s", "2"}},
}
