package dynamodb

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/session"
)

// Names of the table's keys, of its index, and of the attributes that have a meaning to the service.
const (
	partitionName = "session_id"
	sortName      = "key"
	ttlName       = "expiry_time"
	dueIndex      = "due"
	agendaName    = "agenda"
	dueName       = "due"

	ours      = "ak#" // what every partition of this store begins with
	headKey   = "ak#head"
	metaKey   = "ak#meta"
	tenants   = "ak#tenants"
	replicas  = "ak#replicas"
	hints     = "ak#hints"
	unswept   = "ak#unswept" // the agenda of erased sessions of which something may be left
	agendas   = 8            // parts of the agenda of sessions without an owner
	lifeWidth = 20           // digits of the greatest number
)

// item is an item of the table, or a part of one.
type item = map[string]types.AttributeValue

// partition is where everything of a session is. It is a hash, so nothing of the id is left when only a tombstone is.
func partition(key session.Key) string {
	sum := sha256.Sum256([]byte("agentkernel/session/" + key.String()))
	return "ak#s#" + hex.EncodeToString(sum[:])
}

// agenda is the part of the index that a head belongs to.
func agenda(pk, owner string) string {
	if owner != "" {
		return "o#" + owner
	}
	n, _ := strconv.ParseUint(pk[len(pk)-2:], 16, 8)
	return free(int(n) % agendas)
}

func free(part int) string { return "f#" + strconv.Itoa(part) }

func directory(tenant string) string { return "ak#d#" + tenant }

// entry is a session's place in the directory. "#" stands before all characters of ids, so entries are in the order of
// the ids, whatever follows.
func entry(id string, life uint64) string { return fmt.Sprintf("%s#%0*d", id, lifeWidth, life) }

// behind is greater than all entries of an id, and smaller than those of the next one.
func behind(id string) string { return id + "$" }

// inLife is the beginning of the sort keys of one kind of items in one life.
func inLife(life uint64, kind string) string {
	return fmt.Sprintf("ak#%0*d#%s#", lifeWidth, life, kind)
}

func recordAt(life, seq uint64) string {
	return fmt.Sprintf("%s%0*d#", inLife(life, "r"), lifeWidth, seq)
}

func snapshotAt(life, seq uint64) string {
	return fmt.Sprintf("%s%0*d#", inLife(life, "p"), lifeWidth, seq)
}

// last stands behind every character that our sort keys use.
const last = "~"

func nonce() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num[N ~uint64 | ~int64 | ~int](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

func bin(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

// at is the primary key of an item.
func at(pk, key string) item { return item{partitionName: str(pk), sortName: str(key)} }

func (h *holder) str(name string) string {
	if v, ok := h.item[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// holder reads an item's attributes, and remembers what did not make sense.
type holder struct {
	item item
	err  error
}

func (h *holder) uint(name string) uint64 {
	v, ok := h.item[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(v.Value, 10, 64)
	if err != nil && h.err == nil {
		h.err = fmt.Errorf("attribute %s is not a number that fits", name)
	}
	return n
}

func (h *holder) millis(name string) session.Millis {
	v, ok := h.item[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil && h.err == nil {
		h.err = fmt.Errorf("attribute %s is not a time", name)
	}
	return session.Millis(n)
}

func (h *holder) bytes(name string) []byte {
	if v, ok := h.item[name].(*types.AttributeValueMemberB); ok {
		return v.Value
	}
	return nil
}

func (h *holder) has(name string) bool { _, ok := h.item[name]; return ok }

// sortKey is an item's second key.
func sortKey(i item) string { return (&holder{item: i}).str(sortName) }

// idOf is the session id of a directory entry.
func idOf(entry string) string {
	id, _, _ := strings.Cut(entry, "#")
	return id
}
