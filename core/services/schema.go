package services

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mortise/core/fault"
	"mortise/core/manifest"
)

type direction string

const (
	input  direction = "input"
	output direction = "output"
)

// schemas remembers compiled schemas as long as the provider's manifest stays the same.
type schemas struct {
	mu   sync.Mutex
	made map[schemaKey]schemaEntry
}

type schemaKey struct {
	module, service, method string
	way                     direction
}

type schemaEntry struct {
	of   *manifest.Manifest
	made *contract
	err  error
}

// contract is a schema that messages are checked against.
type contract struct {
	schema *jsonschema.Schema
	depth  int // how far it looks into messages, see depthOf
}

func (c *schemas) get(of *manifest.Manifest, service, method string, way direction, schema map[string]any) (*contract, error) {
	key := schemaKey{of.ID, service, method, way}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.made[key]; ok && e.of == of {
		return e.made, e.err
	}
	var made *contract
	compiled, err := compile(schema)
	if err == nil {
		made = &contract{schema: compiled, depth: depthOf(schema)}
	}
	if c.made == nil {
		c.made = map[schemaKey]schemaEntry{}
	}
	c.made[key] = schemaEntry{of: of, made: made, err: err}
	return made, err
}

// closed keeps a schema from reading files of the host: the library's own loader follows "$ref": "file:///…".
type closed struct{}

// Load refuses.
func (closed) Load(address string) (any, error) {
	return nil, fmt.Errorf("a schema must not refer to %s, outside itself", address)
}

func compile(schema map[string]any) (*jsonschema.Schema, error) {
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text)) // the library wants its own kind of numbers
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(closed{})
	const name = "mem:///contract.json"
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// validate gives one line that says where a message does not fit.
func (c *contract) validate(message []byte) error {
	doc, err := read(message, c.depth)
	if err != nil {
		return errors.New("it is not JSON")
	}
	err = c.schema.Validate(doc)
	var mistake *jsonschema.ValidationError
	if !errors.As(err, &mistake) {
		return err
	}
	for len(mistake.Causes) > 0 {
		mistake = mistake.Causes[0]
	}
	text := mistake.Error()
	if i := strings.LastIndex(text, "': "); i >= 0 { // what comes before is the schema's address
		text = strings.TrimSpace(text[i+3:])
	}
	return fmt.Errorf("/%s: %s", strings.Join(mistake.InstanceLocation, "/"), text)
}

// CheckContracts tells whether every schema of the services that a module provides can be used, before it is enabled. The error is
// fault.Invalid.
func CheckContracts(m *manifest.Manifest) error {
	for _, s := range m.Provides {
		for _, name := range slices.Sorted(maps.Keys(s.Methods)) {
			for way, schema := range map[direction]map[string]any{input: s.Methods[name].Input, output: s.Methods[name].Output} {
				if schema == nil {
					continue
				}
				if _, err := compile(schema); err != nil {
					return fault.Wrap(fault.Invalid, err, "the %s schema of %s.%s cannot be used: %v", way, s.Name, name, err)
				}
			}
		}
	}
	return nil
}
