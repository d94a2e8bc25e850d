// Package status is the list of things an operator looks at first: each line says how one part of the site is and, when it is
// not well, what to do. The status page, the dashboard and the command line show the same lines.
package status

import "context"

// Level says how a part is.
type Level string

// The levels, best first.
const (
	Good Level = "good"
	Info Level = "info"
	Warn Level = "warn"
	Bad  Level = "bad"
)

// Line is one part of the site.
type Line struct {
	ID     string `json:"id"`               // "store", "module/devices"
	Title  string `json:"title"`            // "Store"
	Level  Level  `json:"level"`            //
	Text   string `json:"text"`             // how it is: "4.2 MB in data/site/site.db"
	Remedy string `json:"remedy,omitempty"` // what to do, when it is not well
	Link   string `json:"link,omitempty"`   // a page of the site where it can be done
}

// Source gives lines. It must answer quickly: from memory, or with one small query.
type Source func(ctx context.Context) []Line

// Board collects the lines of its sources in their order.
type Board struct{ sources []Source }

// New makes a board.
func New(sources ...Source) *Board { return &Board{sources: sources} }

// Lines asks every source.
func (b *Board) Lines(ctx context.Context) []Line {
	var lines []Line
	for _, source := range b.sources {
		lines = append(lines, source(ctx)...)
	}
	return lines
}

// Attention gives the lines that need somebody, worst first.
func Attention(lines []Line) []Line {
	var bad, warn []Line
	for _, l := range lines {
		switch l.Level {
		case Bad:
			bad = append(bad, l)
		case Warn:
			warn = append(warn, l)
		}
	}
	return append(bad, warn...)
}
