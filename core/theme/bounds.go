package theme

import (
	"errors"
	"fmt"
	"html/template"
	"reflect"
	"strings"
	"text/template/parse"
)

// The templates of a module run inside the host. html/template cannot be interrupted and lets a template build texts of any size, so a
// template that doubles a text sixty times, or counts through four nested loops, would take the whole site with it. These bounds end it
// with an error instead.
const (
	maxText    = 1 << 20   // bytes of one text that a template builds
	maxBuilt   = 8 << 20   // bytes of a list or map that it builds: twice the largest view
	maxPretty  = 128 << 10 // bytes of a value that is shown as JSON
	maxFormat  = 1 << 10   // bytes of the format of printf
	clockEvery = 64        // writes between two looks at the clock
	tickEvery  = 16        // steps of a template between two ticks
)

var (
	errTooSlow  = errors.New("the page takes longer to draw than the site allows")
	errTooMuch  = errors.New("the template builds more than the site allows")
	errNoFormat = errors.New("printf: the format is too long, or asks for a width that is not written out or above 999")
)

// weigh takes what v would take as text off budget; a negative result means that it is too much. Pages and other structures are passed to
// partials, which costs nothing; they cannot be printed.
func weigh(v reflect.Value, budget int, printed bool) int {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	budget -= 2
	switch v.Kind() {
	case reflect.String:
		return budget - v.Len()
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && budget >= 0; i++ {
			budget = weigh(v.Index(i), budget, printed)
		}
	case reflect.Map:
		for all := v.MapRange(); budget >= 0 && all.Next(); {
			budget = weigh(all.Value(), weigh(all.Key(), budget, printed), printed)
		}
	case reflect.Pointer, reflect.Struct, reflect.Func, reflect.Chan:
		if printed {
			return -1
		}
	default:
		budget -= 20
	}
	return budget
}

// fits fails when the values are more than limit bytes together.
func fits(limit int, printed bool, values ...any) error {
	for _, v := range values {
		if limit = weigh(reflect.ValueOf(v), limit, printed); limit < 0 {
			return errTooMuch
		}
	}
	return nil
}

// boundedPrints stand in the place of html/template's own functions.
func boundedPrints() template.FuncMap {
	return template.FuncMap{
		"print":   printing(fmt.Sprint),
		"println": printing(fmt.Sprintln),
		"js":      printing(template.JSEscaper),
		"printf": func(format string, values ...any) (string, error) {
			if len(format) > maxFormat || strings.Contains(format, "*") || wide(format) {
				return "", errNoFormat
			}
			verbs := 1 + strings.Count(format, "%")
			if err := fits(maxText/verbs, true, values...); err != nil {
				return "", err
			}
			return fmt.Sprintf(format, values...), nil
		},
	}
}

func printing(print func(...any) string) func(...any) (string, error) {
	return func(values ...any) (string, error) {
		if err := fits(maxText, true, values...); err != nil {
			return "", err
		}
		return print(values...), nil
	}
}

// wide tells whether a format has a number of more than three digits.
func wide(format string) bool {
	digits := 0
	for _, b := range []byte(format) {
		if digits++; b < '0' || b > '9' {
			digits = 0
		}
		if digits > 3 {
			return true
		}
	}
	return false
}

// addTicks puts an empty text at the beginning of every template and every loop's body, and between every few steps: executing it
// writes nothing, but calls the writer, which looks at the clock.
func addTicks(templates []*template.Template) {
	for _, t := range templates {
		if t.Tree != nil && t.Tree.Root != nil {
			tickList(t.Tree.Root, true)
		}
	}
}

func tickList(list *parse.ListNode, tick bool) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			tickList(n.List, false)
			tickList(n.ElseList, false)
		case *parse.WithNode:
			tickList(n.List, false)
			tickList(n.ElseList, false)
		case *parse.RangeNode:
			tickList(n.List, true)
			tickList(n.ElseList, false)
		}
	}
	var nodes []parse.Node
	for i, n := range list.Nodes {
		if i%tickEvery == 0 && (tick || i > 0) {
			nodes = append(nodes, &parse.TextNode{NodeType: parse.NodeText, Pos: list.Pos})
		}
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 && tick {
		nodes = []parse.Node{&parse.TextNode{NodeType: parse.NodeText, Pos: list.Pos}}
	}
	list.Nodes = nodes
}
