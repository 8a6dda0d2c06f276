package sqlite

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// TestAFileOfTheFirstSchemaIsUpgraded: its table of blobs, which nothing was ever put in, is made anew.
func TestAFileOfTheFirstSchemaIsUpgraded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ak.db")
	s := open(t, path, Config{})
	rec := record(session.Position{}, []byte("kept"))
	key := session.Key{ID: "a"}
	if err := s.Append(t.Context(), key, session.Position{}, rec, session.Attention{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rawSQL(t, path, "DROP TABLE blob_parts; DROP TABLE blobs; UPDATE meta SET value = 1 WHERE name = 'schema';"+
		"CREATE TABLE blobs (tenant TEXT NOT NULL, id TEXT NOT NULL, life INTEGER NOT NULL, digest TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (tenant, id, life, digest))")
	for range 2 {
		s = open(t, path, Config{})
		data := bytes.Repeat([]byte("0123456789"), 100_000)
		if err := s.PutBlob(t.Context(), key, 1, "d", data); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Blob(t.Context(), key, 1, "d"); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if head, records, err := s.Read(t.Context(), key, 0, 0); err != nil || len(records) != 1 || head.Position != rec.Position() {
			t.Errorf("%+v, %d records, %v", head, len(records), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoRowHoldsMoreThanAPartOfABlob.
func TestNoRowHoldsMoreThanAPartOfABlob(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ak.db"), Config{})
	key := session.Key{ID: "a"}
	if err := s.PutBlob(t.Context(), key, 1, "d", make([]byte, 5*blobPart+1)); err != nil {
		t.Fatal(err)
	}
	var parts, largest, first int64
	if _, err := s.conns.row("SELECT count(*), max(length(data)), min(part) FROM blob_parts", nil, &parts, &largest, &first); err != nil || parts != 6 || largest != blobPart || first != 0 {
		t.Errorf("%d parts of at most %d bytes from %d on, %v", parts, largest, first, err)
	}
	list, err := s.BlobList(t.Context(), key, 1)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := s.DropBlob(t.Context(), key, 1, list[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conns.row("SELECT count(*) FROM blob_parts", nil, &parts); err != nil || parts != 0 {
		t.Errorf("%d parts are left, %v", parts, err)
	}
}
