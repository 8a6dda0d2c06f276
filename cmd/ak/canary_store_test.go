package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestAStoresPasswordIsNowhere has every command meet a store that does not answer, refuses, or is no such store at all, at
// addresses that hold passwords.
func TestAStoresPasswordIsNowhere(t *testing.T) {
	c := &canaries{t: t, texts: map[string]string{}}
	p := newParrot(t, c) // a server that answers whatever it is asked with all that it was told
	host := strings.TrimPrefix(p.web.URL, "http://")
	for name, store := range map[string]string{
		"redis, nobody":        `type: redis, redis: {url: "redis://u:%{redis}@127.0.0.1:1/0"}`,
		"redis, another":       `type: redis, redis: {url: "redis://u:%{redis}@HOST/0"}`,
		"redis, no such URL":   `type: redis, redis: {url: "redis://u:%{redis}@127.0.0.1:port/zero?nonsense=1"}`,
		"redis, sentinels":     `type: redis, redis: {url: "redis+sentinel://u:%{redis}@127.0.0.1:1/main"}`,
		"redis, a cluster":     `type: redis, redis: {url: "redis+cluster://u:%{redis}@127.0.0.1:1,127.0.0.1:1"}`,
		"dynamodb, nobody":     `type: dynamodb, dynamodb: {table_name: ours, region: eu-central-1, endpoint: "http://u:%{dynamodb}@127.0.0.1:1/"}`,
		"dynamodb, another":    `type: dynamodb, dynamodb: {table_name: ours, region: eu-central-1, endpoint: "http://u:%{dynamodb}@HOST/"}`,
		"postgres, nobody":     `type: postgres, postgres: {url: "postgres://u:%{postgres}@127.0.0.1:1/db?sslmode=disable"}`,
		"postgres, another":    `type: postgres, postgres: {url: "postgres://u:%{postgres}@HOST/db?connect_timeout=2"}`,
		"postgres, no such":    `type: postgres, postgres: {url: "postgres://u:%{postgres}@127.0.0.1:port/db?sslmode=none"}`,
		"postgres, all passed": `type: postgres, postgres: {url: "postgres://127.0.0.1:1/db?user=u&password=%{postgres}&sslmode=disable"}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.in(strings.ReplaceAll("log: {level: debug}\nsession: {"+store+"}\nproviders: {o: {type: scripted}}\nagents: [{name: a, model: o/m}]\n", "HOST", host)))
			env := []string{"AWS_ACCESS_KEY_ID=k", c.in("AWS_SECRET_ACCESS_KEY=%{AWS_SECRET_ACCESS_KEY}"), "AWS_EC2_METADATA_DISABLED=true"}
			for _, args := range []string{"config print", "config print --sources", "config validate", "config env", "doctor -o json", "store info", "store init", "verify"} {
				c.run(dir, env, strings.Fields(args)...)
			}
			s := launch(t, dir, env, "serve", "--port", "0") // a store that is down is waited for, a wrong address is not
			s.await(`the store|serves .* at|^Error: `)
			_ = s.cmd.Process.Signal(syscall.SIGTERM)
			s.exit()
			c.see("the log of ak serve, "+name, s.said())
		})
	}
	c.check()
}
