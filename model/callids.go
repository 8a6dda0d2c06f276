package model

import "fmt"

// CallIDs names the tool calls of a conversation in a request, for providers. The ids in it come from whatever provider
// answered then, which may have left them empty, repeated them, or made them of another form than this one takes. It
// serves one request.
type CallIDs struct {
	fits func(id string) bool
	used map[string]bool
	open []openCall // calls of the latest assistant message without a result so far
}

type openCall struct{ from, to, name string }

// NewCallIDs begins a conversation; fits says whether the provider takes an id, and is never asked about an empty one.
func NewCallIDs(fits func(id string) bool) *CallIDs {
	return &CallIDs{fits: fits, used: map[string]bool{}}
}

// Calls are the ids under which the calls of message number i, an assistant's, are sent, in order.
func (ids *CallIDs) Calls(i int, calls []Call) []string {
	ids.open = nil
	var all []string
	for k, c := range calls {
		to := c.ID
		for n := 0; to == "" || ids.used[to] || !ids.fits(to); n++ {
			to = fmt.Sprintf("call_%d_%d_%d", i, k, n)
		}
		ids.used[to] = true
		ids.open = append(ids.open, openCall{from: c.ID, to: to, name: c.Name})
		all = append(all, to)
	}
	return all
}

// Result is the id of the call that r answers: the first open one of the same id, or else of the same tool.
func (ids *CallIDs) Result(r *Result) string {
	for _, same := range []func(openCall) bool{
		func(c openCall) bool { return c.from == r.CallID && c.name == r.Name },
		func(c openCall) bool { return c.from == r.CallID },
		func(c openCall) bool { return c.name == r.Name },
	} {
		for i, c := range ids.open {
			if same(c) {
				ids.open = append(ids.open[:i:i], ids.open[i+1:]...)
				return c.to
			}
		}
	}
	return r.CallID
}
