package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// figure is one line of the report.
type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Budget float64 `json:"budget,omitempty"` // what must be reached
	Aim    float64 `json:"aim,omitempty"`
	Less   bool    `json:"less,omitempty"` // less is better
	Bound  bool    `json:"-"`              // Budget and Aim hold, also when they are 0
	How    string  `json:"how,omitempty"`
}

// verdict compares with the budget.
func (f figure) verdict() string {
	if !f.Bound {
		return ""
	}
	reaches := func(goal float64) bool { return f.Less && f.Value <= goal || !f.Less && f.Value >= goal }
	switch {
	case reaches(f.Aim):
		return "aim"
	case reaches(f.Budget):
		return "ok"
	}
	return "MISSED"
}

func (f figure) goal() string {
	if !f.Bound {
		return ""
	}
	sign := "≥ "
	if f.Less {
		sign = "≤ "
	}
	if f.Budget == f.Aim {
		return sign + short(f.Budget)
	}
	return sign + short(f.Budget) + " (aim " + short(f.Aim) + ")"
}

func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// report is everything that was measured.
type report struct {
	Machine string   `json:"machine"`
	Figures []figure `json:"figures"`
	Failed  []string `json:"failed,omitempty"` // what could not be measured, and why
}

func (r *report) add(f ...figure) { r.Figures = append(r.Figures, f...) }

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// writeText prints the table, and below it how each group was measured.
func (r *report) writeText(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n%-46s %12s %-6s %-22s %s\n", r.Machine, "figure", "measured", "", "budget", "")
	var how []string
	for _, f := range r.Figures {
		fmt.Fprintf(w, "%-46s %12s %-6s %-22s %s\n", f.Name, short(f.Value), f.Unit, f.goal(), f.verdict())
		if f.How != "" && !slices.Contains(how, f.How) {
			how = append(how, f.How)
		}
	}
	if len(how) > 0 {
		fmt.Fprintf(w, "\nHow:\n")
		for _, h := range how {
			fmt.Fprintf(w, "  - %s\n", h)
		}
	}
	for _, f := range r.Failed {
		fmt.Fprintf(w, "\nNot measured: %s\n", f)
	}
}

// median of numbers; 0 when there are none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
