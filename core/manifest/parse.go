package manifest

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"mortise/core/fault"
)

//go:embed schema.json
var schemaText []byte

// Schema is the published JSON Schema of module.yaml.
func Schema() []byte { return bytes.Clone(schemaText) }

// MaxSize bounds a module.yaml, in bytes.
const MaxSize = 256 << 10

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("module.schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("module.schema.json")
})

// Parse reads and checks a module.yaml: the schema first (unknown keys are refused), then what a schema cannot say. The error
// is a fault of kind Invalid that names every mistake, one a line.
func Parse(text []byte) (*Manifest, error) {
	if len(text) > MaxSize {
		return nil, fault.New(fault.Invalid, "module.yaml has %d bytes, at most %d are allowed", len(text), MaxSize)
	}
	asJSON, err := yamlToJSON(text)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "module.yaml is not readable YAML: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "module.yaml: %v", err)
	}
	schema, err := compiled()
	if err != nil {
		return nil, fmt.Errorf("compile the manifest schema: %w", err)
	}
	if err := schema.Validate(doc); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "module.yaml: %s", schemaMistakes(err))
	}
	var m Manifest
	if err := json.Unmarshal(asJSON, &m); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "module.yaml: %v", err)
	}
	if mistakes := m.check(); len(mistakes) > 0 {
		return nil, fault.New(fault.Invalid, "module.yaml: %s", strings.Join(mistakes, "\n"))
	}
	return &m, nil
}

// Digest identifies what a manifest says, whatever its comments and its order of keys. Describe must give the same one.
func (m *Manifest) Digest() string {
	canonical, _ := json.Marshal(m) // a parsed manifest always encodes; map keys are sorted
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

func yamlToJSON(text []byte) ([]byte, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var node yaml.Node
	if err := dec.Decode(&node); err != nil {
		return nil, err
	}
	if hasAlias(&node, 0) { // a few aliases of aliases are enough to fill the memory
		return nil, errors.New("aliases and anchors are not allowed")
	}
	var v any
	if err := node.Decode(&v); err != nil {
		return nil, err
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, errors.New("expected a mapping with id, name, version …")
	}
	return json.Marshal(v)
}

func hasAlias(n *yaml.Node, depth int) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || depth > 64 {
		return true
	}
	for _, c := range n.Content {
		if hasAlias(c, depth+1) {
			return true
		}
	}
	return false
}

// schemaMistakes flattens a validation error into one line a mistake, deepest first: "pages/0/path: …".
func schemaMistakes(err error) string {
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return err.Error()
	}
	var lines []string
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			lines = append(lines, "/"+strings.Join(e.InstanceLocation, "/")+": "+leafText(e))
			return
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(ve)
	return strings.Join(lines, "\n")
}

// leafText is the library's message without its first line of addresses.
func leafText(e *jsonschema.ValidationError) string {
	text := e.Error()
	if i := strings.LastIndex(text, "': "); i >= 0 {
		return strings.TrimSpace(text[i+3:])
	}
	return text
}
