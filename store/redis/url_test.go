package redis

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

func TestEveryFormOfURLIsRead(t *testing.T) {
	for url, want := range map[string]target{
		"redis://h":                        {kind: "single", addrs: []string{"h:6379"}},
		"redis://h:7/3":                    {kind: "single", addrs: []string{"h:7"}, db: 3},
		"redis://h/":                       {kind: "single", addrs: []string{"h:6379"}},
		"rediss://u:p%40%2F%3F@h:7":        {kind: "single", addrs: []string{"h:7"}, tls: true, user: "u", password: "p@/?"},
		"redis://:p:q@h":                   {kind: "single", addrs: []string{"h:6379"}, password: "p:q"},
		"redis://:a@b@h":                   {kind: "single", addrs: []string{"h:6379"}, password: "a@b"},
		"redis://[::1]:7":                  {kind: "single", addrs: []string{"[::1]:7"}},
		"redis://[::1]":                    {kind: "single", addrs: []string{"[::1]:6379"}},
		"redis+sentinel://a:1,b/m":         {kind: "sentinel", addrs: []string{"a:1", "b:26379"}, master: "m"},
		"redis+sentinel://u:p@a,[::1]/m/2": {kind: "sentinel", addrs: []string{"a:26379", "[::1]:26379"}, master: "m", db: 2, user: "u", password: "p"},
		"redis+sentinel://a/m?sentinel_user=u&sentinel_password=p%26&tls=true": {
			kind: "sentinel", addrs: []string{"a:26379"}, master: "m", tls: true, sentinelUser: "u", sentinelPassword: "p&",
		},
		"redis+cluster://a:1,b:2":           {kind: "cluster", addrs: []string{"a:1", "b:2"}},
		"redis+cluster://u:p@a:1?tls=true":  {kind: "cluster", addrs: []string{"a:1"}, user: "u", password: "p", tls: true},
		"redis+cluster://u:p@a:1?tls=false": {kind: "cluster", addrs: []string{"a:1"}, user: "u", password: "p"},
	} {
		got, err := parse(url)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, %v; want %+v", url, got, err, want)
		}
	}
}

func TestAURLThatCannotWorkIsRefusedWithoutItsSecrets(t *testing.T) {
	const secret = "s3cr3t"
	for url, want := range map[string]string{
		"":                                       "it is empty",
		"localhost:6379":                         "it has to be",
		"http://u:s3cr3t@h":                      "it has to be",
		"redis://":                               "address 1 is no host:port",
		"redis://s3cr3t@h":                       "a user without a password",
		"redis://u:s3cr3t":                       "the port of address 1",
		"redis://u:s3cr3t/x@h:1":                 "an @ behind the addresses",
		"redis://u:s3cr3t?x@h:1":                 "an @ behind the addresses",
		"redis://u:s3cr3t#x@h:1":                 "it has a #",
		"redis://u:s3cr3t%zz@h":                  "a % that is no escape",
		"redis://u:s3cr3t@h:0":                   "the port of address 1",
		"redis://u:s3cr3t@h:x":                   "the port of address 1",
		"redis://u:s3cr3t@h:65536":               "the port of address 1",
		"redis://u:s3cr3t@h/x":                   "the database",
		"redis://u:s3cr3t@h/-1":                  "the database",
		"redis://u:s3cr3t@a,b":                   "several addresses",
		"redis://u:s3cr3t@h?tls=true":            "rediss://",
		"redis+sentinel://u:s3cr3t@a":            "the name of what they watch",
		"redis+sentinel://a/m?sentinel_pass=s":   "the nearest is sentinel_password",
		"redis+sentinel://a,,b/m":                "address 2 is no host:port",
		"redis+cluster://u:s3cr3t@a/1":           "no numbered databases",
		"redis+cluster://a?tsl=true":             "the nearest is tls",
		"redis+cluster://a?tls=yes":              "tls must be true or false",
		"redis+cluster://a?tls=true&tls=true":    "tls is given 2 times",
		"redis+sentinel://a/m?sentinel_user=s%z": "cannot be read",
	} {
		s, err := Open(context.Background(), url, Config{})
		if err == nil {
			s.Close()
			t.Errorf("%q is taken", url)
			continue
		}
		if !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Config {
			t.Errorf("%q: %v (%s), want one that says %q", url, err, fault.KindOf(err), want)
		}
		for e := error(err); e != nil; {
			if strings.Contains(fmt.Sprintf("%v %+v %q", e, e, fault.Try(e)), secret) {
				t.Errorf("%q: the error tells the password: %v", url, e)
			}
			u, ok := e.(interface{ Unwrap() error })
			if !ok {
				break
			}
			e = u.Unwrap()
		}
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, err := Open(context.Background(), "redis+cluster://a:0,b:x?tsl=1", Config{Prefix: "a{b", Durability: "always", Conns: -1, Replicas: 1, OpTimeout: 5, WaitTimeout: 6})
	for _, want := range []string{"address 1", "address 2", "tsl", "Prefix", "Durability", "Conns", "Replicas", "WaitTimeout (6ns) must be shorter"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not speak of %s: %v", want, err)
		}
	}
}

func FuzzURLs(f *testing.F) {
	for _, seed := range []string{"redis://u:p@h:1/2", "redis+sentinel://:p@a:1,[::1]:2/m/3?sentinel_user=u&tls=true", "redis+cluster://a,b?tls=false", "rediss://u:%zz@h", "redis://a@b/c@d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		got, err := parse(url)
		if err != nil {
			if _, rest, _ := strings.Cut(url, "@"); len(rest) > 20 && strings.Contains(err.Error(), rest) {
				t.Errorf("%q: the error quotes the URL: %v", url, err)
			}
			return
		}
		if len(got.addrs) == 0 || got.kind == "sentinel" && got.master == "" || got.kind == "single" && len(got.addrs) != 1 || got.db < 0 {
			t.Errorf("%q is taken and read as %+v", url, got)
		}
	})
}
