package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

func TestALargeJournalIsPagedByItsSize(t *testing.T) {
	x := newSite(t)
	const turns = 8
	text := strings.Repeat("long ", 190_000)
	for range turns {
		problem(t, x.chat(`{"prompt":"`+text+`","session_id":"l","agent":"refusing"}`), 422, fault.Refused)
	}
	var seqs []uint64
	for after, pages := uint64(0), 0; pages == 0 || after > 0; pages++ {
		r := x.do("GET", fmt.Sprintf("/api/v1/sessions/l/journal?limit=1000&after=%d", after), "")
		page := as[JournalPage](t, r, 200)
		for _, rec := range page.Records {
			seqs = append(seqs, rec.Seq)
		}
		if len(r.body) > pageBytes+len(text)*2 || len(page.Records) == 0 {
			t.Errorf("a page has %d bytes, %d records", len(r.body), len(page.Records))
		}
		if after = page.Next; pages > turns {
			t.Fatal("the pages do not end")
		}
	}
	for i, seq := range seqs {
		if seq != uint64(i+1) || len(seqs) < turns {
			t.Fatalf("%v", seqs)
		}
	}
	r := x.do("GET", "/api/v1/sessions/l/messages", "")
	list := as[MessageList](t, r, 200)
	if list.Session != "l" || len(list.Messages) == 0 || r.Header.Get("Content-Type") != jsonType {
		t.Errorf("%d messages, %v", len(list.Messages), r.Header)
	}
}

func TestPagesOfAJournalMeetTheirLimitsExactly(t *testing.T) {
	x := newSite(t)
	const records = 2 * (pageStride + 1)
	for range records / 2 {
		as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"j"}`), 200)
	}
	for _, limit := range []int{1, pageStride - 1, pageStride, pageStride + 1, records - 1, records, records + 1, 1000} {
		page := as[JournalPage](t, x.do("GET", fmt.Sprintf("/api/v1/sessions/j/journal?limit=%d", limit), ""), 200)
		want, next := min(limit, records), uint64(0)
		if limit < records {
			next = uint64(limit)
		}
		if len(page.Records) != want || page.Next != next {
			t.Errorf("limit %d: %d records, next %d", limit, len(page.Records), page.Next)
		}
	}
	page := as[JournalPage](t, x.do("GET", fmt.Sprintf("/api/v1/sessions/j/journal?after=%d", records), ""), 200)
	if page.Records == nil || len(page.Records) != 0 || page.Next != 0 {
		t.Errorf("%+v", page)
	}
}

func TestAListThatIsWrittenInPiecesIsJSON(t *testing.T) {
	for n := range 3 {
		list := make([]string, n)
		want, _ := json.Marshal(map[string]any{"a": `"`, "list": list})
		w := &bytes.Buffer{}
		if err := writeList(w, map[string]any{"a": `"`}, "list", list); err != nil || strings.TrimSpace(w.String()) != string(want) {
			t.Errorf("%s, not %s: %v", w, want, err)
		}
	}
}

// TestABodyThatDoesNotComeIsNotWaitedFor: the rest of the body never comes, on any route that reads one.
func TestABodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.BodyTimeout = 10 * time.Millisecond })
	for path, media := range map[string]string{chatPath: jsonType, multipartPath: formType, "/api/v1/turns/s~1.1.0.5d41402a/approve": jsonType} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{", path, media)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		b, _ := io.ReadAll(res.Body)
		var p Problem
		if err := json.Unmarshal(b, &p); err != nil || res.StatusCode != http.StatusRequestTimeout || p.Code != fault.TimeoutTotal {
			t.Errorf("%s: %d %s", path, res.StatusCode, b)
		}
		conn.Close()
	}
}

func TestABodyThatIsCutIsTheClientsFault(t *testing.T) {
	x := newSite(t)
	for path, media := range map[string]string{chatPath: jsonType, multipartPath: formType} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{", path, media); err == nil {
			err = conn.(*net.TCPConn).CloseWrite()
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if res.StatusCode != 400 {
			b, _ := io.ReadAll(res.Body)
			t.Errorf("%s: %d %s", path, res.StatusCode, b)
		}
		res.Body.Close()
		conn.Close()
	}
	if turns := as[TurnList](t, x.do("GET", "/api/v1/turns", ""), 200); len(turns.Turns) != 0 {
		t.Errorf("%d turns", len(turns.Turns))
	}
}
