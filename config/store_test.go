package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEachStoreIsChosenByVariablesAlone(t *testing.T) {
	for name, try := range map[string]struct {
		env []string
		ttl time.Duration
		at  string // where it is
	}{
		Redis:    {[]string{"AK_SESSION__REDIS__URL=redis://u:p@h:6379/1", "AK_SESSION__REDIS__TTL=60", "AK_SESSION__REDIS__PREFIX=ours:"}, time.Minute, "redis://u:p@h:6379/1"},
		DynamoDB: {[]string{"AK_SESSION__DYNAMODB__TABLE_NAME=ours", "AK_SESSION__DYNAMODB__TTL=3600"}, time.Hour, "ours"},
		Postgres: {[]string{"AK_SESSION__POSTGRES__URL=postgres://u:p@h/db", "AK_SESSION__TTL=120"}, 2 * time.Minute, "postgres://u:p@h/db"},
	} {
		c := mustLoad(t, base, Options{Env: append(try.env, "AK_SESSION__TYPE="+name)})
		s := c.Session
		where := s.Redis.URL.Reveal() + s.DynamoDB.TableName + s.Postgres.URL.Reveal()
		if s.Type != name || where != try.at || c.SessionTTL() != try.ttl || len(c.Warnings()) != 0 {
			t.Errorf("%s: %s at %q for %s, %q", name, s.Type, where, c.SessionTTL(), c.Warnings())
		}
		if strings.Contains(c.String(), "u:p") {
			t.Errorf("%s: it prints %s", name, c)
		}
	}
}

func TestKeysOfAStoreThatIsNotChosenAreAWarning(t *testing.T) {
	c := mustLoad(t, base, Options{Env: []string{"AK_SESSION__REDIS__URL=redis://h", "AK_SESSION__POSTGRES__URL=postgres://h/d"}})
	want := []string{"session.redis has no effect: session.type is sqlite", "session.postgres has no effect: session.type is sqlite"}
	if got := c.Warnings(); !slices.Equal(got, want) {
		t.Errorf("warnings are %q", got)
	}
	c = mustLoad(t, "session: {type: redis, redis: {url: \"redis://h\", replicas: 2}}\n", Options{})
	if got := c.Warnings(); len(got) != 1 || !strings.Contains(got[0], "session.redis.replicas has no effect") {
		t.Errorf("warnings are %q", got)
	}
}

func TestAPasswordIsFoundInAURLOfSeveralHosts(t *testing.T) {
	for text, want := range map[string]string{
		"redis://:p@h":                             "p",
		"redis+sentinel://u:p%40q@a:1,b:2/m":       "p%40q p@q",
		"postgres://u@h/db":                        "",
		"http://h/a:b@c":                           "",
		"redis+cluster://u:a:b@a:1,b:2,c:3?x=y@z":  "a:b",
		"postgres://u:one@two@h:5432,i:5432/db?x=": "one@two",
	} {
		if got := strings.Join(passwordsIn(text), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
