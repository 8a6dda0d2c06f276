package schema

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type charge struct {
	Order  string   `json:"order" jsonschema:"description=The order's number,minLength=1"`
	Amount float64  `json:"amount" jsonschema:"exclusiveMinimum=0"`
	Lines  []line   `json:"lines,omitempty"`
	Note   *string  `json:"note,omitempty"`
	Kind   string   `json:"kind,omitempty" jsonschema:"enum=card,enum=cash"`
	Tags   []string `json:"tags,omitempty"`
	hidden int
}

type line struct {
	SKU string `json:"sku"`
}

func TestAToolsArgumentsBecomeOneClosedObjectSchema(t *testing.T) {
	_ = charge{}.hidden
	raw, err := For[charge]()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"properties":{` +
		`"order":{"type":"string","minLength":1,"description":"The order's number"},` +
		`"amount":{"type":"number","exclusiveMinimum":0},` +
		`"lines":{"items":{"properties":{"sku":{"type":"string"}},"additionalProperties":false,"type":"object",` +
		`"required":["sku"]},"type":"array"},` +
		`"note":{"type":"string"},` +
		`"kind":{"type":"string","enum":["card","cash"]},` +
		`"tags":{"items":{"type":"string"},"type":"array"}},` +
		`"additionalProperties":false,"type":"object","required":["order","amount"]}`
	if string(raw) != want {
		t.Errorf("schema of charge:\n%s\nwant\n%s", raw, want)
	}
	if _, err := Compile(raw); err != nil {
		t.Errorf("the schema does not compile: %v", err)
	}
}

func TestATypeWithoutFieldsStillHasProperties(t *testing.T) {
	for _, make := range []func() (json.RawMessage, error){For[struct{}], For[map[string]int], For[*struct{}]} {
		raw, err := make()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), `"properties":{}`) {
			t.Errorf("%s has no properties", raw)
		}
	}
}

type tree struct {
	Children []*tree `json:"children"`
}

func TestTypesWithoutASchemaAreErrorsAndNeverPanics(t *testing.T) {
	for name, make := range map[string]func() (json.RawMessage, error){
		"text":                For[string],
		"list":                For[[]int],
		"nothing":             For[any],
		"time":                For[time.Time],
		"numbered map":        For[map[int]string],
		"recursive":           For[tree],
		"recursive by a map":  For[struct{ M map[string]tree }],
		"channel":             For[struct{ C chan int }],
		"function":            For[struct{ F func() }],
		"complex":             For[struct{ Z complex128 }],
		"map by struct":       For[struct{ M map[line]int }],
		"pointer to function": For[struct{ F *func() }],
	} {
		t.Run(name, func(t *testing.T) {
			if raw, err := make(); err == nil {
				t.Errorf("got %s, want an error", raw)
			}
		})
	}
	if _, err := Of(nil); err == nil {
		t.Error("no type at all is no error")
	}
}

func TestTypesThatWriteThemselvesHaveTheSchemaOfWhatTheyWrite(t *testing.T) {
	raw, err := For[struct {
		At    time.Time       `json:"at"`
		Addr  netip.Addr      `json:"addr"`
		Num   json.Number     `json:"num"`
		Any   any             `json:"any"`
		Raw   json.RawMessage `json:"raw"`
		Bytes []byte          `json:"bytes"`
	}]()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"at":{"type":"string","format":"date-time"}`, `"addr":{"type":"string"}`, `"num":{"type":"number"}`,
		`"any":true`, `"raw":true`, `"bytes":{"type":"string","contentEncoding":"base64"}`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s\nlacks %s", raw, want)
		}
	}
}

func TestFieldSeesEveryFieldWithItsParent(t *testing.T) {
	seen := map[string]bool{}
	type inner struct {
		Deep int `yaml:"deep"`
	}
	type outer struct {
		List []inner          `yaml:"list"`
		Map  map[string]inner `yaml:"map"`
		One  *inner           `yaml:"one"`
	}
	_, err := Reflect(reflect.TypeFor[outer](), Options{Tag: "yaml", Optional: true, Field: func(f reflect.StructField,
		name string, field, parent *Schema,
	) {
		if got, ok := parent.Properties.Get(name); !ok || got != field {
			t.Errorf("field %s came with a parent that does not have it", name)
		}
		seen[name] = true
	}})
	if err != nil || len(seen) != 4 {
		t.Errorf("saw %v, err %v; want list, map, one and deep", seen, err)
	}
}

func TestCompileRefusesWhatIsNoSchemaOrReachesOutside(t *testing.T) {
	for name, raw := range map[string]string{
		"no JSON":       `{`,
		"trailing data": `{} {}`,
		"unknown type":  `{"type": "objekt"}`,
		"local file":    `{"$ref": "file:///etc/hostname"}`,
		"network":       `{"$ref": "http://127.0.0.1:1/schema.json"}`,
		"missing def":   `{"$ref": "#/$defs/none"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile([]byte(raw)); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestCheckNamesEveryPlaceThatIsWrong(t *testing.T) {
	raw, err := For[charge]()
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Check([]byte(`{"order":"o1","amount":12345678901234567890.5}`)); err != nil {
		t.Errorf("a good document: %v", err)
	}
	err = v.Check([]byte(`{"amount":"x","lines":[{"sku":1}],"other":1}`))
	if err == nil {
		t.Fatal("a bad document passes")
	}
	for _, want := range []string{"order", "amount: ", "lines/0/sku: ", "other"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if err := v.Check([]byte(`{`)); err == nil {
		t.Error("half a document passes")
	}
}
