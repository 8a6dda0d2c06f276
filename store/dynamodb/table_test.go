package dynamodb

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// scan returns every item of the table.
func scan(t *testing.T, s *Store) (all []item) {
	t.Helper()
	in := &dynamodb.ScanInput{TableName: &s.table}
	for {
		out, err := call(t.Context(), s, always, (*dynamodb.Client).Scan, in)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out.Items...)
		if len(out.LastEvaluatedKey) == 0 {
			return all
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// holding are the keys of the items in which a text stands, replicas and hints aside.
func holding(t *testing.T, s *Store, text string) (found []string) {
	t.Helper()
	for _, i := range scan(t, s) {
		a := holder{item: i}
		if pk := a.str(partitionName); pk == replicas || pk == hints {
			continue
		}
		for name, v := range i {
			in := ""
			switch v := v.(type) {
			case *types.AttributeValueMemberS:
				in = v.Value
			case *types.AttributeValueMemberB:
				if bytes.Contains(v.Value, []byte(text)) {
					in = text
				}
			}
			if strings.Contains(in, text) {
				found = append(found, a.str(partitionName)+" "+a.str(sortName)+" "+name)
			}
		}
	}
	return found
}
