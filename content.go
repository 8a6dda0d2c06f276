package agentkernel

import (
	"context"
	"slices"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Long results of tools are not kept in the journal's records: a record has to stay small enough for every store, and a
// fold small enough for memory. Their text is stored beside the journal before the record that names it, like a file that
// the user sent, and is put back into a request just before a model is asked.

// spillAt is the longest result, in bytes, that a record holds itself.
const spillAt = 32 << 10

// spill stores a long result apart. The call has been made: the store is asked until it answers or the tenure ends.
func (t *Turn) spill(r model.Result) model.Result {
	if len(r.Content) <= spillAt {
		return r
	}
	for {
		digest, err := t.k.putBlob(t.tenure.ctx, t.j.key, t.id.Life, []byte(r.Content))
		if err == nil {
			r.Digest, r.Size, r.Content = digest, int64(len(r.Content)), ""
			return r
		}
		if !pause(t.tenure.ctx, retryStore) {
			return r // nothing will be recorded either
		}
	}
}

// unpack is a request with the content of everything that is stored beside the journal.
func (t *Turn) unpack(ctx context.Context, req *model.Request) (*model.Request, error) {
	messages, err := t.k.hydrate(ctx, t.j.key, t.id.Life, req.Messages, true)
	if err != nil {
		return nil, err
	}
	full := *req
	full.Messages = messages
	return &full, nil
}

// hydrate puts back what is stored apart: long results, and files if they are wanted. What needs nothing is shared with
// the original.
func (k *Kernel) hydrate(ctx context.Context, key session.Key, life uint64, messages []model.Message, files bool) ([]model.Message, error) {
	out, copied := messages, false
	for i, m := range messages {
		for n, p := range m.Parts {
			result := p.Result != nil && p.Result.Digest != "" && p.Result.Content == ""
			file := files && p.File != nil && len(p.File.Data) == 0
			if !result && !file {
				continue
			}
			if !copied {
				out, copied = slices.Clone(messages), true
			}
			if &out[i].Parts[0] == &m.Parts[0] {
				out[i].Parts = slices.Clone(m.Parts)
			}
			if result {
				data, err := k.getBlob(ctx, key, life, p.Result.Digest)
				if err != nil {
					return nil, err
				}
				r := *p.Result
				r.Content = string(data)
				out[i].Parts[n].Result = &r
				continue
			}
			data, err := k.getBlob(ctx, key, life, p.File.Digest)
			if err != nil {
				return nil, err
			}
			f := *p.File
			f.Data = data
			out[i].Parts[n].File = &f
		}
	}
	return out, nil
}
