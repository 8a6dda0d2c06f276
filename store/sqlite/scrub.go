package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"

	"github.com/agentkernel/agentkernel/fault"
)

// When SQLite splits or merges pages of a tree it copies cells and moves the mark behind which a page's cells begin; the
// bytes before the mark stay as they were, secure_delete or not. So an erased id can survive in a page that its row left
// long before. A scrub goes through all pages after an erase and sets that unused space to zero.
//
// It works in slices, each a transaction of its own, after a batch or while the queue is empty, so that a large file
// does not keep writers waiting. One whole pass that began after an erase is enough: what was erased is in no cell any
// more, and only cells are copied. The number of erases since the last complete scrub stands in the meta table; a
// process that opens the file and finds it above zero goes on where a dead one stopped.

const (
	scrubPages = 256 // pages in one slice: a few milliseconds
	scrubTries = 20  // how often a slice waits for another process's lock, lockSlice each, before it waits for a write
	// maxPages bounds the file (to 64 GiB). Below it the first byte of a page tells the pages of trees from all others:
	// those begin with the number of another page, whose first byte is 0.
	maxPages = 1<<24 - 1
)

// scrub is the state of the pass. It belongs to the writer goroutine.
type scrub struct {
	wanted  bool  // something was erased since the pass under way began
	next    int64 // the page to look at next, 0 when no pass is under way
	erases  int64 // the count in the meta table when the pass began
	stalled bool  // the last slice came to nothing; the next write tries again
	tries   int   // slices in a row that found the file locked
}

// pending reports that there is a slice to run now.
func (b *scrub) pending() bool { return (b.wanted || b.next > 0) && !b.stalled }

// scrubSlice runs one slice of the pass.
func (s *Store) scrubSlice(c *conns) {
	b := &s.scrub
	if b.next == 0 {
		b.next, b.wanted = 1, false
	}
	done, err := c.slice(b)
	if err != nil {
		b.wanted, b.next = true, 0
		b.tries++
		b.stalled = !isBusy(err) || b.tries >= scrubTries
		if !isBusy(err) {
			s.drop(c)
		}
		return
	}
	b.tries = 0
	if !done {
		return
	}
	if !c.truncate() {
		b.stalled = true
		return
	}
	if _, err := c.exec("UPDATE meta SET value = 0 WHERE name = 'unscrubbed' AND value = ?", b.erases); err != nil {
		b.stalled = true
		return
	}
	*b = scrub{wanted: b.wanted}
}

// slice cleans the next pages. It reports true when there are no more.
func (c *conns) slice(b *scrub) (done bool, err error) {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	defer func() {
		if err == nil {
			return
		}
		_, _ = c.exec("ROLLBACK") // after any error but a lock's the connections are replaced, and that ends it too
	}()
	if b.next == 1 {
		if _, err := c.row("SELECT value FROM meta WHERE name = 'unscrubbed'", nil, &b.erases); err != nil {
			return false, err
		}
	}
	var count int64
	if _, err := c.row("PRAGMA page_count", nil, &count); err != nil {
		return false, err
	}
	end := min(b.next+scrubPages, count+1)
	dirty, err := c.dirtyPages(b.next, end-1)
	if err != nil {
		return false, err
	}
	for page, data := range dirty {
		if _, err := c.exec("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", data, page); err != nil {
			return false, err
		}
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return false, err
	}
	b.next = end
	return end > count, nil
}

// treePages reads the pages of trees among the pages from ?1 to ?2; the first page begins with the file's header.
const treePages = `WITH RECURSIVE n (page) AS (SELECT ?1 UNION ALL SELECT page + 1 FROM n WHERE page < ?2)
	SELECT pgno, data FROM n CROSS JOIN sqlite_dbpage
	WHERE pgno = page AND (pgno = 1 OR substr(data, 1, 1) IN (x'02', x'05', x'0a', x'0d'))`

// dirtyPages returns the clean form of those pages that have something in their unused space.
func (c *conns) dirtyPages(from, to int64) (map[int64][]byte, error) {
	st, err := c.prepared(treePages)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(context.Background(), from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	dirty := map[int64][]byte{}
	for rows.Next() {
		var page int64
		var data sql.RawBytes
		if err := rows.Scan(&page, &data); err != nil {
			return nil, err
		}
		begin, end, err := unused(data, page == 1)
		if err != nil {
			return nil, fault.New(fault.Corrupt, "", "page %d: %w", page, err)
		}
		if len(bytes.Trim(data[begin:end], "\x00")) > 0 {
			dirty[page] = bytes.Clone(data)
			clear(dirty[page][begin:end])
		}
	}
	return dirty, rows.Err()
}

// unused finds the space between the cell pointers and the cells of a tree's page; from equals to on any other page.
// See "B-tree Pages" in SQLite's description of its file format.
func unused(data []byte, first bool) (from, to int, err error) {
	header := 0
	if first {
		header = 100 // the file's header comes before the page's
	}
	if len(data) < header+12 {
		return 0, 0, fault.New(fault.Corrupt, "", "it has %d bytes", len(data))
	}
	switch data[header] {
	case 2, 5: // an inner page of an index or a table
		from = header + 12
	case 10, 13: // a leaf
		from = header + 8
	default:
		return 0, 0, nil
	}
	from += 2 * int(binary.BigEndian.Uint16(data[header+3:]))
	to = int(binary.BigEndian.Uint16(data[header+5:]))
	if to == 0 {
		to = 1 << 16
	}
	if from > to || to > len(data) {
		return 0, 0, fault.New(fault.Corrupt, "", "its cells begin at %d, its pointers end at %d", to, from)
	}
	return from, to, nil
}
