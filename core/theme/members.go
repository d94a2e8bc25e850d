package theme

import "fmt"

// Members calls each with the members of a JSON object, in their order; value is a part of body. It looks only as far into a value as
// it takes to find its end: whoever uses one reads it with Decode or encoding/json, which refuse what is wrong inside.
func Members(body []byte, each func(key string, value []byte) error) error {
	d := decoder{text: string(body)}
	if err := d.members(body, each); err != nil {
		return fmt.Errorf("read a view: %w", err)
	}
	return nil
}

func (d *decoder) members(body []byte, each func(key string, value []byte) error) error {
	if d.next() != '{' {
		return d.wrong("expected an object")
	}
	d.at++
	for first := true; ; first = false {
		c := d.next()
		if c == '}' && first {
			break
		}
		if c != '"' {
			return d.wrong("expected a key")
		}
		key, err := d.string()
		if err != nil {
			return err
		}
		if d.next() != ':' {
			return d.wrong("expected a colon")
		}
		d.at++
		d.space()
		start := d.at
		if err := d.skip(); err != nil {
			return err
		}
		if err := each(key, body[start:d.at]); err != nil {
			return err
		}
		if c := d.next(); c == '}' {
			break
		} else if c != ',' {
			return d.wrong("expected a comma or a brace")
		}
		d.at++
	}
	d.at++
	if d.space(); d.at < len(d.text) {
		return d.wrong("something follows the object")
	}
	return nil
}

// skip moves behind a value.
func (d *decoder) skip() error {
	depth := 0
	for start := d.at; d.at < len(d.text); {
		switch c := d.text[d.at]; c {
		case '"':
			if err := d.skipString(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			d.at++
		case '}', ']', ',':
			if depth == 0 {
				if d.at == start {
					return d.wrong("expected a value")
				}
				return nil
			}
			if c != ',' {
				depth--
			}
			d.at++
		default:
			d.at++
		}
		if depth == 0 && (d.text[d.at-1] == '"' || d.text[d.at-1] == '}' || d.text[d.at-1] == ']') {
			return nil
		}
	}
	return d.wrong("a value without end")
}

func (d *decoder) skipString() error {
	for i := d.at + 1; i < len(d.text); i++ {
		switch d.text[i] {
		case '\\':
			i++
		case '"':
			d.at = i + 1
			return nil
		}
	}
	return d.wrong("a string without end")
}
