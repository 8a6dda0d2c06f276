package model

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

func TestTextsAreScrubbed(t *testing.T) {
	s := NewScrubber("sk-secret-1", "sk-secret-1-longer", "", "abc")
	for in, want := range map[string]string{
		"key sk-secret-1-longer, sk-secret-1.":         "key [secret], [secret].",
		"Incorrect API key provided: sk-proj-***9xyz.": "Incorrect API key provided: [secret].",
		"Authorization: Bearer abcdef":                 "Authorization: [secret]",
		`Get "https://user:pass@host/v1": refused`:     `Get "https://[secret]@host/v1": refused`,
		"two\nlines\tand\x00more":                      "two lines and more",
		"task-list abc":                                "task-list abc",
		"bad \xff byte":                                "bad ? byte",
	} {
		if got := s.Clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := s.Clean(strings.Repeat("語", 300)); len(got) > maxErrorText+3 || !strings.HasSuffix(got, "語…") {
		t.Errorf("got %q", got)
	}
}

func TestOnlyACompleteAnswerSettles(t *testing.T) {
	call := Part{Call: &Call{ID: "a", Name: "f", Args: []byte(`{}`)}}
	for _, c := range []struct {
		finish, want Finish
		parts        []Part
	}{
		{FinishStop, FinishStop, []Part{{Text: "x"}}},
		{FinishLength, FinishLength, []Part{{Text: "x"}}},
		{FinishStop, FinishCalls, []Part{call}},
		{FinishLength, FinishLength, []Part{call}},
		{FinishCalls, FinishCalls, []Part{{Text: "x"}, call}},
		{FinishCalls, "", []Part{{Text: "x"}}},
		{FinishStop, "", nil},
		{FinishStop, "", []Part{{Text: " \n"}}},
		{FinishLength, "", nil},
	} {
		a := &Answer{Finish: c.finish, Message: Message{Role: Assistant, Parts: c.parts}}
		err := Settle(a)
		if (err != nil) != (c.want == "") || err != nil && fault.KindOf(err) != fault.Truncated || err == nil && a.Finish != c.want {
			t.Errorf("%s with %d parts: got %s, %v", c.finish, len(c.parts), a.Finish, err)
		}
	}
}

func TestACallNeedsANameAndAnObject(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"f", "", "{}"},
		{"f", " null ", "{}"},
		{"f", ` {"a":1} `, `{"a":1}`},
		{"f", `{"a":`, ""},
		{"f", `[1]`, ""},
		{"f", `"x"`, ""},
		{"", `{}`, ""},
	} {
		call, err := CallOf(0, "id", c.name, []byte(c.args))
		if (err != nil) != (c.want == "") || err != nil && fault.KindOf(err) != fault.Truncated || err == nil && string(call.Args) != c.want {
			t.Errorf("%q %q: got %+v, %v", c.name, c.args, call, err)
		}
	}
}

func TestFilesThatCannotBeSentAreRefused(t *testing.T) {
	for _, c := range []struct {
		media, data string
		is          Media
		want        fault.Kind
	}{
		{"image/png", "x", MediaImage, ""},
		{"Image/JPEG; q=1", "x", MediaImage, ""},
		{"image/tiff", "x", MediaOther, fault.Unsupported},
		{"application/pdf", "x", MediaPDF, fault.Unsupported}, // not in the list below
		{"text/plain; charset=utf-8", "x", MediaText, ""},
		{"application/ld+json", "{}", MediaText, ""},
		{"text/plain", "\xff", MediaOther, fault.Unsupported},
		{"", "x", MediaOther, fault.Unsupported},
		{"image/png", "", MediaImage, fault.Invalid},
	} {
		f := &File{Name: "a", MediaType: c.media, Data: []byte(c.data)}
		req := &Request{Messages: []Message{{Role: User, Parts: []Part{{Text: "x"}, {File: f}}}}}
		if err := CheckFiles(req, "t", MediaImage, MediaText); f.Media() != c.is || fault.KindOf(err) != c.want {
			t.Errorf("%q %q: is %d, %v", c.media, c.data, f.Media(), err)
		}
	}
}

func TestCallIDsAreMadeToFit(t *testing.T) {
	ids := NewCallIDs(func(id string) bool { return !strings.Contains(id, ".") })
	got := ids.Calls(3, []Call{{ID: "a", Name: "f"}, {ID: "a", Name: "g"}, {ID: "b.c", Name: "f"}, {Name: "h"}})
	got = append(got,
		ids.Result(&Result{CallID: "a", Name: "g"}), ids.Result(&Result{CallID: "a", Name: "f"}),
		ids.Result(&Result{CallID: "?", Name: "h"}), ids.Result(&Result{CallID: "b.c", Name: "?"}), ids.Result(&Result{CallID: "z"}))
	const want = "a call_3_1_0 call_3_2_0 call_3_3_0 call_3_1_0 a call_3_3_0 call_3_2_0 z"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again := ids.Calls(4, []Call{{ID: "a", Name: "f"}}); again[0] != "call_4_0_0" {
		t.Errorf("a used id was used again: %q", again)
	}
}

func TestTheSecretsOfAnAddressAreKnown(t *testing.T) {
	for address, want := range map[string]string{
		"http://h/v1?key=sk%2Bsecret":     "sk+secret sk%2Bsecret",
		"http://user:p%40ssword@h/":       "p@ssword p%40ssword dXNlcjpwQHNzd29yZA==",
		"http://only-token@h/":            "only-token b25seS10b2tlbjo=",
		"http://h/path":                   "",
		"http://[broken:and-a-secret@h/%": "",
	} {
		scrub := NewScrubber(URLSecrets(address)...)
		for secret := range strings.FieldsSeq(want) {
			if got := scrub.Clean("it said: " + secret + "."); got != "it said: [secret]." {
				t.Errorf("%s: %q", address, got)
			}
		}
		if got := scrub.Clean("user h path v1"); got != "user h path v1" {
			t.Errorf("%s: %q", address, got)
		}
	}
}

func TestABaseURLHasNoQuery(t *testing.T) {
	for base, want := range map[string]int{"http://h/v1": 0, "http://u:p@h": 0, "http://h/v1?key=hush": 1, "http://h/#hush": 1, "h/v1": 1} {
		errs := CheckAccess("k", base, "http://example.com")
		if len(errs) != want || want > 0 && strings.Contains(errs[0].Error(), "hush") {
			t.Errorf("%s: %v", base, errs)
		}
	}
}

// A key in a header of its own would be sent along to any host.
func TestAProvidersClientFollowsNoRedirect(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	c := NewHTTPClient()
	defer c.CloseIdleConnections()
	res, err := c.Post(s.URL, "application/json", strings.NewReader("{}"))
	if err != nil || res.StatusCode != http.StatusTemporaryRedirect || asked {
		t.Fatalf("%v, %v, asked elsewhere: %t", res, err, asked)
	}
	_ = res.Body.Close()
}
