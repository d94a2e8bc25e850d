package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"mortise/core/sdk"
)

func encodeSettings(values map[string]any) ([]byte, error) {
	if values == nil {
		values = map[string]any{}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encode the settings: %w", err)
	}
	return text, nil
}

// decodeSettings gives values of the types that sdk.Settings promises: a whole number is an int64, any other a float64, a list
// a []string. A number that was saved as 5.0 comes back as an int64; Settings.Int reads both.
func decodeSettings(text []byte) (sdk.Settings, error) {
	settings := sdk.Settings{}
	if len(text) == 0 {
		return settings, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var raw map[string]any
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("decode the settings: %w", err)
	}
	for key, value := range raw {
		switch v := value.(type) {
		case string, bool:
			settings[key] = v
		case json.Number:
			settings[key] = number(v)
		case []any:
			list := make([]string, 0, len(v))
			for _, one := range v {
				if text, ok := one.(string); ok {
					list = append(list, text)
				}
			}
			settings[key] = list
		}
	}
	return settings, nil
}

func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return int64(0)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

func validUTF8(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
