package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

func TestAKeyOpensWhatItIsForAndNothingElseDoes(t *testing.T) {
	first, hash1 := NewKey()
	second, hash2 := NewKey()
	none, _ := NewKey()
	keys, err := NewKeys([]Key{
		{ID: "app", Hash: hash1, Tenant: "acme"},
		{ID: "desk", Hash: strings.ToUpper(hash2[:len(hashPrefix)])[:0] + hashPrefix + strings.ToUpper(hash2[len(hashPrefix):]), Roles: []string{"operator", "approver", "operator"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	app := Identity{Tenant: "acme", Subject: "app", Roles: []string{"user"}}
	desk := Identity{Subject: "desk", Roles: []string{"operator", "approver"}}
	for name, c := range map[string]struct {
		header []string
		want   Identity
		why    string
	}{
		"a bearer key":          {[]string{"Authorization", "Bearer " + first}, app, ""},
		"in any case":           {[]string{"Authorization", "bEARER  " + first}, app, ""},
		"a header of its own":   {[]string{"X-API-Key", first}, app, ""},
		"another key":           {[]string{"X-API-Key", second}, desk, ""},
		"none":                  {nil, Identity{}, "an API key is needed"},
		"an empty one":          {[]string{"X-API-Key", ""}, Identity{}, "not an API key"},
		"an empty bearer":       {[]string{"Authorization", "Bearer "}, Identity{}, "no credential after Bearer"},
		"an unknown key":        {[]string{"X-API-Key", none}, Identity{}, "no such API key"},
		"a shortened key":       {[]string{"X-API-Key", first[:len(first)-1]}, Identity{}, "no such API key"},
		"a lengthened key":      {[]string{"X-API-Key", first + "a"}, Identity{}, "no such API key"},
		"another case":          {[]string{"X-API-Key", KeyPrefix + strings.ToUpper(first[3:])}, Identity{}, "no such API key"},
		"the hash":              {[]string{"X-API-Key", hash1}, Identity{}, "not an API key"},
		"the hash as a key":     {[]string{"X-API-Key", KeyPrefix + hash1}, Identity{}, "no such API key"},
		"a huge key":            {[]string{"X-API-Key", KeyPrefix + strings.Repeat("x", maxKey)}, Identity{}, "not an API key"},
		"a huge bearer":         {[]string{"Authorization", "Bearer " + strings.Repeat("x", maxToken+1)}, Identity{}, "at most 16384 are read"},
		"without the scheme":    {[]string{"Authorization", first}, Identity{}, "scheme Bearer"},
		"another scheme":        {[]string{"Authorization", "Basic " + first}, Identity{}, "scheme Bearer"},
		"in quotes":             {[]string{"Authorization", `Bearer "` + first + `"`}, Identity{}, "a character that none has"},
		"two in one":            {[]string{"Authorization", "Bearer " + first + " " + second}, Identity{}, "a character that none has"},
		"two headers":           {[]string{"Authorization", "Bearer " + first, "Authorization", "Bearer " + second}, Identity{}, "given 2 times"},
		"two keys":              {[]string{"X-API-Key", first, "X-API-Key", first}, Identity{}, "more than one"},
		"one key in two places": {[]string{"Authorization", "Bearer " + first, "X-API-Key", first}, Identity{}, "more than one"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keys.Authenticate(t.Context(), request(c.header...))
			if c.why == "" {
				if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			text := fmt.Sprint(err, fault.Try(err))
			if fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(text, c.why) || got.Roles != nil {
				t.Errorf("%+v, %v", got, err)
			}
			if strings.Contains(text, first[3:20]) || strings.Contains(text, second[3:20]) || strings.Contains(text, hash1[7:20]) {
				t.Errorf("the text has what was sent: %s", text)
			}
		})
	}
}

func TestKeysAreReplacedWithoutAGap(t *testing.T) {
	old, oldHash := NewKey()
	fresh, freshHash := NewKey()
	keys, err := NewKeys([]Key{{ID: "old", Hash: oldHash}})
	if err != nil {
		t.Fatal(err)
	}
	passes := func(key string) bool {
		_, err := keys.Authenticate(t.Context(), request("X-API-Key", key))
		return err == nil
	}
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 200 {
				if !passes(old) {
					t.Error("a key that is in force was refused")
					return
				}
			}
		})
	}
	both := []Key{{ID: "old", Hash: oldHash}, {ID: "fresh", Hash: freshHash}}
	if err := keys.Replace(both); err != nil {
		t.Fatal(err)
	}
	callers.Wait()
	if !passes(fresh) {
		t.Error("the new key does not count")
	}
	if err := keys.Replace([]Key{{ID: "fresh", Hash: "nonsense"}}); fault.KindOf(err) != fault.Config || !passes(old) || !passes(fresh) {
		t.Errorf("a wrong configuration changed something: %v", err)
	}
	if err := keys.Replace(both[1:]); err != nil || passes(old) || !passes(fresh) {
		t.Errorf("the old key still counts, or the new one no longer: %v", err)
	}
	id, _ := keys.Authenticate(t.Context(), request("X-API-Key", fresh))
	id.Roles[0] = "operator"
	if id, _ = keys.Authenticate(t.Context(), request("X-API-Key", fresh)); id.Roles[0] != "user" {
		t.Error("a caller changed the roles of a key")
	}
}

func TestAllThatIsWrongWithKeysIsSaidAtOnceAndNotShown(t *testing.T) {
	key, hash := NewKey()
	_, err := NewKeys([]Key{
		{ID: "a", Hash: key},
		{ID: "", Hash: hash},
		{ID: "c", Hash: hash, Roles: []string{"admin"}},
		{ID: "c", Hash: Hash("x"), Tenant: "a/b"},
		{ID: key, Hash: Hash("y")},
		{ID: "f", Hash: hash + "00"},
		{ID: "g", Hash: "sha256:" + strings.Repeat("z", 64)},
	})
	if fault.KindOf(err) != fault.Config {
		t.Fatal(err)
	}
	for _, want := range []string{
		"key 1: the hash", "key 2: the id", "key 3: there is no role", "key 3: it has the same hash as key 2",
		"key 4: the tenant", "key 4: it has the same id as key 3", "key 5: the id", "key 6: the hash", "key 7: the hash",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), key[3:]) || strings.Contains(err.Error(), hash[7:]) {
		t.Errorf("it shows a key or a hash: %v", err)
	}
}

func TestNewKeysAreLongAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key, hash := NewKey()
		if len(key) != len(KeyPrefix)+52 || !strings.HasPrefix(key, KeyPrefix) || hash != Hash(key) || len(hash) != len(hashPrefix)+64 || seen[key] || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_234567") != "" {
			t.Errorf("%d characters, %s", len(key), hash)
		}
		seen[key] = true
	}
	if got := Hash("abc"); got != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" { // of FIPS 180
		t.Error(got)
	}
}

func TestOnlyAnOperatorHasEveryRole(t *testing.T) {
	for _, has := range Roles() {
		for _, need := range Roles() {
			got := Identity{Roles: []string{string(has)}}.Has(need)
			if want := has == need || has == Operator; got != want {
				t.Errorf("%s may do what needs %s: %t", has, need, got)
			}
		}
		if !(Identity{Roles: []string{string(has)}}).Has(User, Approver) {
			t.Errorf("%s has neither of two", has)
		}
	}
	if (Identity{}).Has(Roles()...) || (Identity{Roles: []string{"admin"}}).Has(Roles()...) {
		t.Error("nobody has a role")
	}
}
