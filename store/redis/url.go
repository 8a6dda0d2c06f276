package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// target is what a URL says.
type target struct {
	kind           string // "single", "sentinel" or "cluster"
	addrs          []string
	tls            bool
	user, password string
	master         string // what the sentinels call it
	db             int

	sentinelUser, sentinelPassword string
}

// tlsConfig is nil without TLS. The server's name is taken from each address.
func (t target) tlsConfig() *tls.Config {
	if !t.tls {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}

// form is one of the ways to write a URL.
type form struct {
	kind   string
	tls    bool
	port   string   // when an address has none
	params []string // of the query
}

var forms = map[string]form{
	"redis":          {kind: "single", port: "6379"},
	"rediss":         {kind: "single", port: "6379", tls: true},
	"redis+sentinel": {kind: "sentinel", port: "26379", params: []string{"sentinel_password", "sentinel_user", "tls"}},
	"redis+cluster":  {kind: "cluster", port: "6379", params: []string{"tls"}},
}

const grammar = "redis://[user:password@]host[:port][/db], rediss://…, redis+sentinel://…host1,host2/master[/db] or redis+cluster://…host1,host2"

// parse reads a URL. Its errors quote nothing but the scheme and the names of parameters: a password that is not written as
// it should be can end up in any other place.
func parse(raw string) (target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	f, known := forms[scheme]
	switch {
	case raw == "":
		return target{}, fmt.Errorf("url: it is empty; write %s", grammar)
	case !ok || !known:
		return target{}, fmt.Errorf("url: it has to be %s", grammar)
	}
	if strings.Contains(rest, "#") {
		return target{}, errors.New("url: it has a #; write it as %23")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	if strings.Contains(path+query, "@") {
		return target{}, errors.New("url: there is an @ behind the addresses; in a password write / as %2F, ? as %3F and @ as %40")
	}
	t := target{kind: f.kind, tls: f.tls}
	var problems []error
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		problems = append(problems, t.credentials(hosts[:at]))
		hosts = hosts[at+1:]
	}
	problems = append(problems, t.hosts(hosts, f), t.path(path), t.query(query, f))
	return t, errors.Join(problems...)
}

func (t *target) credentials(text string) error {
	user, password, _ := strings.Cut(text, ":")
	var err1, err2 error
	t.user, err1 = url.PathUnescape(user)
	t.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("url: user or password has a % that is no escape; write % as %25")
	}
	if t.user != "" && t.password == "" {
		return errors.New("url: there is a user without a password; a password alone is written :password@")
	}
	return nil
}

func (t *target) hosts(text string, f form) error {
	var problems []error
	all := strings.Split(text, ",")
	if len(all) > 1 && f.kind == "single" {
		problems = append(problems, errors.New("url: several addresses need redis+sentinel:// or redis+cluster://"))
	}
	for i, addr := range all {
		host, port := addr, f.port
		if bare := strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"); bare != addr {
			host = bare // an IPv6 address without a port, or nonsense
		}
		if h, p, err := net.SplitHostPort(addr); err == nil {
			host, port = h, p
		}
		switch n, err := strconv.Atoi(port); {
		case host == "" || strings.ContainsAny(host, "[]@ \t\r\n") || strings.Contains(host, ":") && net.ParseIP(host) == nil:
			problems = append(problems, fmt.Errorf("url: address %d is no host:port", i+1))
		case err != nil || n < 1 || n > 65535:
			problems = append(problems, fmt.Errorf("url: the port of address %d is no number from 1 to 65535", i+1))
		default:
			t.addrs = append(t.addrs, net.JoinHostPort(host, strconv.Itoa(n)))
		}
	}
	return errors.Join(problems...)
}

func (t *target) path(text string) (err error) {
	db := text
	if t.kind == "sentinel" {
		t.master, db, _ = strings.Cut(text, "/")
		if t.master, err = url.PathUnescape(t.master); err != nil || t.master == "" {
			return errors.New("url: behind the sentinels' addresses comes the name of what they watch, as /mymaster")
		}
	}
	if db == "" {
		return nil
	}
	if t.kind == "cluster" {
		return errors.New("url: a Cluster has no numbered databases; nothing may follow the addresses")
	}
	if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 || t.db > 1<<20 {
		t.db = 0
		return errors.New("url: the database behind the / is no number")
	}
	return nil
}

func (t *target) query(text string, f form) error {
	values, err := url.ParseQuery(text)
	if err != nil {
		return errors.New("url: the part behind the ? cannot be read; write % as %25 and ; as %3B")
	}
	var problems []error
	for key, all := range values {
		value := all[len(all)-1]
		switch {
		case !slices.Contains(f.params, key):
			problems = append(problems, unknownParam(key, f.params))
		case len(all) > 1:
			problems = append(problems, fmt.Errorf("url: %s is given %d times", key, len(all)))
		case key == "sentinel_user":
			t.sentinelUser = value
		case key == "sentinel_password":
			t.sentinelPassword = value
		case value == "true" || value == "false":
			t.tls = value == "true"
		default:
			problems = append(problems, fmt.Errorf("url: %s must be true or false", key))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// unknownParam names the parameter that comes nearest.
func unknownParam(key string, params []string) error {
	if len(params) == 0 {
		return errors.New("url: this form takes no parameters; for TLS write rediss://")
	}
	nearest, best := params[0], 1<<30
	for _, p := range params {
		if d := distance(key, p); d < best {
			nearest, best = p, d
		}
	}
	return fmt.Errorf("url: there is no parameter %.40q; the nearest is %s", key, nearest)
}

// distance is how many letters have to be changed, added or removed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := left
			if a[i] != b[j] {
				change++
			}
			left = row[j+1]
			row[j+1] = min(change, left+1, row[j]+1)
		}
	}
	return row[len(b)]
}
