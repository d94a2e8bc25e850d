package theme

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Problem is a template that cannot be read or drawn.
type Problem struct {
	Theme    string `json:"theme"`            // the active theme
	Module   string `json:"module,omitempty"` // "" for the host's own pages
	Template string `json:"template"`         // the file as its author knows it: "themes/customer/pages/home.html"
	Line     int    `json:"line,omitempty"`
	Message  string `json:"message"`
}

// Error says where and what.
func (p Problem) Error() string {
	where := p.Template
	if p.Line > 0 {
		where += ":" + strconv.Itoa(p.Line)
	}
	return fmt.Sprintf("theme %s: %s: %s", p.Theme, where, p.Message)
}

// located matches the messages of text/template and html/template: template: name:line[:column]: message.
var located = regexp.MustCompile(`(?s)template: ?([^:]+):(\d+)(?::\d+)?: (.*)`)

// problemOf turns an error of the template packages into a Problem. files tells where a template's name comes from.
func problemOf(theme, module, name string, files map[string]text, err error) Problem {
	p := Problem{Theme: theme, Module: module, Message: err.Error()}
	if m := located.FindStringSubmatch(err.Error()); m != nil {
		if _, known := files[m[1]]; known {
			name = m[1]
		}
		p.Line, _ = strconv.Atoi(m[2])
		p.Message = m[3]
	}
	p.Template = name + ".html"
	if f, ok := files[name]; ok {
		p.Template = f.shown()
	}
	return p
}

// shown is a file's path as its author knows it.
func (t text) shown() string {
	if module, ok := strings.CutPrefix(t.origin, "module "); ok {
		return "plugins/" + module + "/templates/" + t.path
	}
	return "themes/" + t.origin + "/" + t.path
}

// problemIn finds the Problem behind the error of a render.
func problemIn(err error) (Problem, bool) {
	var p Problem
	ok := errors.As(err, &p)
	return p, ok
}
