package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mortise/core/logbook"
	"mortise/core/theme"
)

// logPerPage is how many lines one page of the log shows.
const logPerPage = 100

// logLine is a line of the log as the pages show it.
type logLine struct {
	logbook.Entry
	Tone  string    `json:"tone"`
	Facts []logFact `json:"facts"` // the attributes as short texts, in the order of their names
	Long  bool      `json:"long"`  // there is more in the attributes than in facts
}

// logFact is one attribute.
type logFact struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// factLength bounds an attribute that stands in the line, in bytes.
const factLength = 300

var logTones = map[string]string{"error": "bad", "warning": "warn", "info": "info", "debug": "off"}

func logLines(entries []logbook.Entry) []logLine {
	lines := make([]logLine, len(entries))
	for i, e := range entries {
		line := logLine{Entry: e, Tone: logTones[e.Level], Facts: []logFact{}}
		for _, key := range slices.Sorted(maps.Keys(e.Attrs)) {
			value := factText(e.Attrs[key])
			if value == "" {
				continue
			}
			short := clip(value, factLength)
			if short != value || strings.ContainsAny(value, "\n{") {
				line.Long = true
			}
			line.Facts = append(line.Facts, logFact{Key: key, Value: short})
		}
		lines[i] = line
	}
	return lines
}

func factText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case map[string]any, []any:
		text, err := json.Marshal(value)
		if err == nil {
			return string(text)
		}
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// logData is the data of the page admin_log, and part of a module's page.
type logData struct {
	Entries    []logLine `json:"entries"`
	Q          string    `json:"q"`
	Source     string    `json:"source"`
	Severity   string    `json:"severity"`
	Reference  string    `json:"reference"`
	Sources    []choice  `json:"sources"`
	Severities []choice  `json:"severities"`
	Older      string    `json:"older"` // the id to go on before; "" when there is nothing older
}

var severityChoices = []choice{{"", "Any severity"}, {"info", "Info and worse"}, {"warning", "Warnings and errors"}, {"error", "Errors"}}

var severities = map[string]slog.Level{"info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError}

// readLog reads the filter of the query. source fixes the source; "" leaves it to the query.
func (s *Server) readLog(v *visit, source string) (logData, error) {
	data := logData{Q: clip(v.query("q"), 100), Source: source, Severity: v.query("severity"), Reference: clip(strings.TrimSpace(v.query("reference")), 64), Severities: severityChoices}
	if source == "" {
		data.Source = v.query("source")
	}
	filter := logbook.Filter{Source: data.Source, Text: data.Q, RequestID: data.Reference, Limit: logPerPage}
	if level, ok := severities[data.Severity]; ok {
		filter.MinSeverity = &level
	}
	if before, ok := numberOf(v.query("before")); ok {
		filter.Before = before
	}
	entries, err := s.o.Admin.Book.Query(v.ctx(), filter)
	if err != nil {
		return data, err
	}
	data.Entries = logLines(entries)
	if len(entries) == logPerPage {
		data.Older = strconv.FormatInt(entries[len(entries)-1].ID, 10)
	}
	return data, nil
}

func (s *Server) log(v *visit) error {
	data, err := s.readLog(v, "")
	if err != nil {
		return err
	}
	sources, err := s.o.Admin.Book.Sources(v.ctx())
	if err != nil {
		return err
	}
	data.Sources = []choice{{"", "Everywhere"}}
	for _, one := range sources {
		data.Sources = append(data.Sources, choice{one, one})
	}
	return v.render(theme.Page{Template: "admin_log", Title: "Log", Data: data})
}
