package services

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func schemaOf(t testing.TB, text string) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// listSchema is that of an answer with a list.
const listSchema = `{"type":"object","required":["devices"],"properties":{"devices":{"type":"array","items":{"type":"object","required":["id"]}},"at":{"type":"string"}}}`

func TestDepth_IsHowFarASchemaLooks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`{}`:                  0,
		`{"type":"object"}`:   0,
		`{"required":["a"]}`:  1,
		`{"maxProperties":3}`: 1,
		`{"properties":{}}`:   1,
		`{"items":{}}`:        1,
		`{"items":false}`:     1,
		`{"additionalProperties":{"type":"integer"}}`: 1,
		listSchema: 3,
		`{"properties":{"a":{"items":{"enum":[{}]}}}}`: wholly,
		`{"$ref":"#/x"}`:                wholly,
		`{"uniqueItems":true}`:          wholly,
		`{"allOf":[{"type":"object"}]}`: wholly,
		`{"items":[{"type":"object"}]}`: wholly,
		`{"properties":[]}`:             wholly,
		`{"anything":1}`:                wholly,
	} {
		if got := depthOf(schemaOf(t, text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestRead_IsTheWholeMessageWhenItIsNotDeeper(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a":[1,-2.5e+3,{"b":null}],"\u00e4\"":"x\\","":true}`, ` [ false , "\ud800" , {} , [ ] ] `, `7`, `"x"`, `{"a":1,"a":2}`} {
		want, err := read([]byte(text), wholly)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read([]byte(text), 9); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, want %#v, %v", text, got, want, err)
		}
	}
	got, _ := read([]byte(`{"a":{"b":{"c":"}]"}},"d":[[1,"["]]}`), 2)
	if text, _ := json.Marshal(got); string(text) != `{"a":{"b":{}},"d":[[]]}` {
		t.Errorf("two levels of it: %s", text)
	}
}

// FuzzValidate_AnswersAsIfAllHadBeenRead compares what a schema says of a message that was read as deep as needed with what it says of all
// of it.
func FuzzValidate_AnswersAsIfAllHadBeenRead(f *testing.F) {
	for _, text := range []string{`{"devices":[{"id":1,"x":{"y":[]}},{"id":"\u0000"}]}`, `{"devices":[{}]}`, `{"devices":{},"at":5}`, `{"devices":[[1]]}`, `[`, `{"devices":[]} x`, " null\n", `{"a":"\xff"}`} {
		f.Add(text)
	}
	var all []*contract
	for _, text := range []string{`{}`, `{"type":"object"}`, listSchema, `{"type":"object","additionalProperties":{"type":"array","maxItems":1}}`, `{"items":{"items":{"minimum":3,"maxLength":2}}}`} {
		schema := schemaOf(f, text)
		compiled, err := compile(schema)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, &contract{compiled, depthOf(schema)})
	}
	f.Fuzz(func(t *testing.T, message string) {
		for i, c := range all {
			got, want := c.validate([]byte(message)), (&contract{c.schema, wholly}).validate([]byte(message))
			if (got == nil) != (want == nil) {
				t.Errorf("schema %d: %v, but of the whole message %v", i, got, want)
			}
		}
	})
}

// BenchmarkValidate checks an answer with 1,000 devices, read as deep as needed and wholly.
func BenchmarkValidate(b *testing.B) {
	row := `{"device_id":"e00fce680000000000000001","name":"Pump in the garden","given":false,"workspace_id":1,"product_id":"10001","product":"Garden pumps","way":"product","attached_at":"2026-03-14T15:09:00Z"}`
	message := fmt.Appendf(nil, `{"devices":[%s],"products":[]}`, strings.TrimSuffix(strings.Repeat(row+",", 1000), ","))
	schema := schemaOf(b, `{"type":"object","required":["devices","products"],"properties":{"devices":{"type":"array","items":{"type":"object"}},"products":{"type":"array","items":{"type":"object"}}}}`)
	compiled, err := compile(schema)
	if err != nil {
		b.Fatal(err)
	}
	for name, depth := range map[string]int{"as deep as needed": depthOf(schema), "wholly": wholly} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := (&contract{compiled, depth}).validate(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
