package server

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/agentkernel/agentkernel/fault"
)

// strict refuses what huma would let pass: query parameters that do not exist or are given twice, which would otherwise
// silently not filter, and bodies that do not say that they are JSON, which a browser may send across sites.
func (s *Server) strict(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	if strings.HasPrefix(op.Path, "/api/") {
		if p := checkQuery(r.URL.RawQuery, op); p != nil {
			s.refuse(w, r, p)
			return
		}
	}
	if p := checkMedia(r, op.RequestBody); p != nil {
		s.refuse(w, r, p)
		return
	}
	next(ctx)
}

// checkMedia refuses a body of another media type than is described. One that may be left out is not asked for its type.
func checkMedia(r *http.Request, described *huma.RequestBody) *Problem {
	if described == nil || !described.Required && r.ContentLength == 0 {
		return nil
	}
	sent := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(sent)
	form := described.Content["multipart/form-data"] != nil
	if form && err == nil && media == "multipart/form-data" || !form && isJSON(sent) {
		return nil
	}
	only, try := "JSON", "send the header Content-Type: application/json"
	if form {
		only, try = "a multipart/form-data form", "send a form, or JSON to "+chatPath
	}
	p := newProblem(fault.Unsupported, http.StatusUnsupportedMediaType, "the body's media type is %.100q, only %s is taken", sent, only)
	p.Try = try
	return p
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	charset, named := params["charset"]
	return media == "application/json" && (!named || strings.EqualFold(charset, "utf-8"))
}

func checkQuery(raw string, op *huma.Operation) *Problem {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return newProblem(fault.BadRequest, http.StatusBadRequest, "the query is malformed: %v", err)
	}
	var known []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	slices.Sort(known)
	var first *Problem
	for name, values := range query {
		d := &huma.ErrorDetail{Location: "query." + name, Message: "there is no such parameter"}
		try := "this route takes no parameters"
		switch {
		case slices.Contains(known, name) && len(values) == 1:
			continue
		case slices.Contains(known, name):
			d.Message, try = "it is given more than once", "give it once; several values are separated by commas"
		case len(known) > 0:
			try = "did you mean " + nearest(name, known) + "? This route takes " + strings.Join(known, ", ")
		}
		if len(d.Location) > 100 {
			d.Location = d.Location[:100]
		}
		if first == nil || d.Location < first.Errors[0].Location { // the same answer every time
			p := newError(http.StatusBadRequest, "", d).(*Problem)
			p.Try = try
			first = p
		}
	}
	return first
}

// nearest is the known name with the smallest edit distance.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is how many letters must be put in, taken out or changed to make b of a. Long names are not compared whole.
func distance(a, b string) int {
	a = a[:min(len(a), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
