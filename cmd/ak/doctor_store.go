package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	bootclock "github.com/agentkernel/agentkernel/internal/clock"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

// Bounds of what a server can live with.
const (
	littleSpace = 1 << 30  // bytes: a warning
	noSpace     = 64 << 20 // bytes: a failure
	slowSync    = 20 * time.Millisecond
	slowProbe   = 500 * time.Millisecond
	clockSkew   = 2 * time.Second
	syncTimes   = 9
)

// checkDisk looks at the place of the database: that SQLite may be used there, how much room is left, how long it takes
// until a write is safe.
func (d *doctor) checkDisk() {
	const check = "disk"
	if d.cfg.Session.Type != config.SQLite {
		return
	}
	path := d.cfg.Session.SQLite.Path
	place, err := diskOf(existing(path))
	switch {
	case err != nil:
		d.warn(check, "", "the file system of %s cannot be asked: %v", path, err)
	case place.network != "":
		d.failed(check, localOnly(path, diskOf))
		return
	case place.unsure != "":
		d.warn(check, "use a local disk if it is on another machine: SQLite's locks do not hold there", "%s is on %s, which may be a network file system", path, place.unsure)
	}
	if mib := place.free >> 20; err == nil && place.free < noSpace {
		d.fail(check, "make room", "%d MiB are free for %s", mib, path)
	} else if err == nil && place.free < littleSpace {
		d.warn(check, "make room", "%d MiB are free for %s", mib, path)
	} else if err == nil {
		d.ok(check, "%d MiB are free for %s", mib, path)
	}
	took, err := syncTime(folderOf(path))
	switch {
	case err != nil:
		d.fail(check, "give this user the right to write the folder", "nothing can be written beside %s: %v", path, err)
	case took > slowSync:
		d.warn(check, "a faster disk: every turn waits for at least two such writes", "a write is safe after %s", took.Round(10*time.Microsecond))
	default:
		d.ok(check, "a write is safe after %s", took.Round(10*time.Microsecond))
	}
}

// folderOf is the folder of a file, or the nearest above it that is there.
func folderOf(path string) string {
	path = existing(path)
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// syncTime is the median time in which a page is appended and made safe.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".ak-doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	page := make([]byte, 4096)
	times := make([]time.Duration, 0, syncTimes)
	for range syncTimes {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// checkStore writes, reads and erases a session. Where there is no database yet it uses one of its own beside the place.
func (d *doctor) checkStore(ctx context.Context) {
	const check = "store"
	if d.cfg.Session.Type == config.SQLite && localOnly(d.cfg.Session.SQLite.Path, diskOf) != nil {
		return // told with the disk, and not to be touched
	}
	store, where, clean, err := d.probeStore(ctx)
	if err != nil {
		d.failed(check, err)
		return
	}
	defer clean()
	defer func() { _ = store.Close() }()
	took, err := probe(ctx, store)
	d.examine(ctx, store, err != nil)
	switch {
	case err != nil:
		d.failed(check, err)
	case took > slowProbe:
		d.warn(check, "look at the disk or the network, and at what else uses it", "a session was written, read and erased in %s, in %s", where, took.Round(time.Millisecond))
	default:
		d.ok(check, "a session was written, read and erased in %s, in %s", where, took.Round(10*time.Microsecond))
	}
}

// examine asks the store's server how it is set up. What it says counts as a check each; that it says nothing is told
// once.
func (d *doctor) examine(ctx context.Context, store session.Store, failed bool) {
	examiner, ok := store.(session.Examiner)
	if !ok {
		return
	}
	ctx, stop := context.WithTimeout(ctx, storeTime)
	defer stop()
	findings, err := examiner.Examine(ctx)
	for _, f := range findings {
		state := map[session.Severity]string{session.FindingOK: stateOK, session.FindingWarn: stateWarn}[f.Severity]
		if state == "" {
			state = stateFail // also what is no severity: nobody said that it is well
		}
		d.all = append(d.all, finding{state, f.Check, f.Text, f.Try})
	}
	if err != nil && !failed {
		err = silent(ctx, err)
		d.fail("store", fault.Try(err), "its server cannot be asked how it is set up: %s", text(err))
	}
}

func (d *doctor) probeStore(ctx context.Context) (store session.Store, where string, clean func(), err error) {
	clean = func() {}
	if d.cfg.Session.Type == config.InMemory {
		return memory.New(), "memory", clean, nil
	}
	if d.cfg.Session.Type != config.SQLite {
		store, err = d.open(ctx)
		return store, storePlace(d.cfg), clean, err
	}
	path := d.cfg.Session.SQLite.Path
	where = path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		dir, err := os.MkdirTemp(folderOf(path), ".ak-doctor-*")
		if err != nil {
			return nil, "", clean, fault.New(fault.Config, "", "no database can be made at %s: %w", path, err).WithTry("give this user the right to write the folder")
		}
		clean = func() { _ = os.RemoveAll(dir) }
		path, where = filepath.Join(dir, "probe.db"), "a new database ("+path+" is made at the first start)"
	}
	store, err = sqlite.Open(ctx, path, sqlite.Config{Readers: 1})
	if err != nil {
		clean()
	}
	return store, where, clean, err
}

// probe writes, reads and erases one session, as the engine would.
func probe(ctx context.Context, store session.Store) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, storeTime)
	defer stop()
	key := session.Key{ID: "ak-doctor-" + rand.Text()}
	rec, _, err := session.NewRecord(session.Position{}, "ak-doctor", 0, session.Millis(time.Now().UnixMilli()), []session.Event{{Type: session.SessionCleared}})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := store.Append(ctx, key, session.Position{}, rec, session.Attention{}); err != nil {
		return 0, storeFailed(ctx, "written", err)
	}
	head, records, err := store.Read(ctx, key, 0, 0)
	if err == nil && (head.Position != rec.Position() || len(records) != 1 || !bytes.Equal(records[0].Data, rec.Data)) {
		err = errors.New("what was read is not what was written")
	}
	if err != nil {
		return 0, storeFailed(ctx, "read", err)
	}
	if err := store.Erase(ctx, key, rec.Position(), session.Tombstone{Until: session.Millis(time.Now().UnixMilli())}); err != nil {
		return 0, storeFailed(ctx, "erased (ak sessions rm "+key.ID+")", err)
	}
	return time.Since(began), nil
}

func storeFailed(ctx context.Context, what string, err error) error {
	err = silent(ctx, err)
	return fault.New(fault.KindOf(err), "", "a probe session could not be %s: %s", what, text(err)).WithTry("%s", fault.Try(err))
}

// checkClocks compares the wall clock with the file system's and with the time of this build, and looks whether the
// clock of leases goes on.
func (d *doctor) checkClocks() {
	const check = "clock"
	if built := readBuild().Built; !built.IsZero() && time.Now().Before(built) {
		d.fail(check, "set the clock, and run a time service", "it is %s, and this build was made at %s", time.Now().UTC().Format(time.RFC3339), built.UTC().Format(time.RFC3339))
		return
	}
	dir := os.TempDir()
	if d.cfg.Session.Type == config.SQLite {
		dir = folderOf(d.cfg.Session.SQLite.Path)
	}
	skew, err := fileSkew(dir)
	switch {
	case err != nil:
		d.warn(check, "", "the time of the file system is not known: %v", err)
	case skew.Abs() > clockSkew:
		d.warn(check, "run a time service where the disk is", "the file system's clock is %s off", skew.Round(time.Millisecond))
	default:
		d.ok(check, "%s; the file system agrees", time.Now().UTC().Format(time.RFC3339))
	}
	began := bootclock.Boot()
	time.Sleep(2 * time.Millisecond)
	if bootclock.Boot() <= began {
		d.fail(check, "", "the clock that leases are counted by stands still")
	}
}

// fileSkew is how far a new file's time is ahead of the wall clock.
func fileSkew(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".ak-doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	before := time.Now()
	if _, err := f.WriteString("x"); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	return info.ModTime().Sub(before), nil
}
