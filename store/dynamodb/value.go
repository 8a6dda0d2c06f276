package dynamodb

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

// largest is how many bytes of content an item holds. The service takes items of up to 400 KB, names included.
const largest = 350 << 10

// Attributes of content.
const (
	dataAttr  = "data"
	partsAttr = "parts" // of the first item, how many follow
	partAttr  = "part"  // of the others, their number from 1
)

// content makes items of bytes: one that holds them, or one that says how many parts there are, and those. attrs are for
// the first one.
func content(pk, key string, data []byte, attrs item) []item {
	first := at(pk, key)
	for name, v := range attrs {
		first[name] = v
	}
	data = bytes.Clone(data)
	if len(data) <= largest {
		if len(data) > 0 { // not every server takes an empty value
			first[dataAttr] = bin(data)
		}
		return []item{first}
	}
	items := []item{first}
	for n := 1; len(data) > 0; n++ {
		cut := min(len(data), largest)
		part := at(pk, partKey(key, n))
		part[partAttr], part[dataAttr] = num(n), bin(data[:cut])
		items, data = append(items, part), data[cut:]
	}
	first[partsAttr] = num(len(items) - 1)
	return items
}

func partKey(key string, n int) string { return fmt.Sprintf("%s#%06d", key, n) }

// gather puts content together again. items are the first one and what follows it in the order of the keys; rest is what
// does not belong to it. It reports false when a part is missing.
func gather(items []item) (data []byte, rest []item, whole bool) {
	first := holder{item: items[0]}
	items = items[1:]
	n := first.uint(partsAttr)
	if n == 0 {
		return first.bytes(dataAttr), items, true
	}
	key := first.str(sortName)
	var parts [][]byte
	for len(items) > 0 && strings.HasPrefix(sortKey(items[0]), key+"#") {
		part := holder{item: items[0]}
		if part.uint(partAttr) != uint64(len(parts)+1) {
			break
		}
		parts, items = append(parts, part.bytes(dataAttr)), items[1:]
	}
	return bytes.Join(parts, nil), items, uint64(len(parts)) == n
}

// value reads content whose first item has that sort key, which must not be the beginning of another's.
func (s *Store) value(ctx context.Context, pk, key string) (data []byte, found bool, err error) {
	items, err := s.all(ctx, between{pk: pk, from: key, to: key + "#" + last})
	if err != nil || len(items) == 0 || sortKey(items[0]) != key {
		return nil, false, err
	}
	data, _, whole := gather(items)
	return data, whole, nil
}

// remove deletes what stands between two sort keys.
func (s *Store) remove(ctx context.Context, b between) error {
	b.keysOnly = true
	return s.query(ctx, b, func(page []item) (bool, error) {
		return true, s.put(ctx, deleting(page))
	})
}

// removeValue deletes content.
func (s *Store) removeValue(ctx context.Context, pk, key string) error {
	return s.remove(ctx, between{pk: pk, from: key, to: key + "#" + last})
}
