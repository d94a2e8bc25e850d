package web

import (
	"log/slog"
	"strconv"

	"mortise/core/logbook"
	"mortise/core/theme"
)

// logPerPage is how many lines one page of the log shows.
const logPerPage = 100

// logData is the data of the page admin_log, and part of a module's page.
type logData struct {
	Entries    []recentLine `json:"entries"`
	Q          string       `json:"q"`
	Source     string       `json:"source"`
	Severity   string       `json:"severity"`
	Reference  string       `json:"reference"`
	Sources    []choice     `json:"sources"`
	Severities []choice     `json:"severities"`
	Older      string       `json:"older"` // the id to go on before; "" when there is nothing older
}

var severityChoices = []choice{{"", "Any severity"}, {"info", "Info and worse"}, {"warning", "Warnings and errors"}, {"error", "Errors"}}

var severities = map[string]slog.Level{"info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError}

// logLines reads the filter of the query. source fixes the source; "" leaves it to the query.
func (s *Server) logLines(v *visit, source string) (logData, error) {
	data := logData{Q: clip(v.query("q"), 100), Source: source, Severity: v.query("severity"), Reference: clip(v.query("reference"), 64), Severities: severityChoices}
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
	entries, err := s.o.Admin.Book.Query(v.c.Context(), filter)
	if err != nil {
		return data, err
	}
	data.Entries = withTones(entries)
	if len(entries) == logPerPage {
		data.Older = strconv.FormatInt(entries[len(entries)-1].ID, 10)
	}
	return data, nil
}

func (s *Server) log(v *visit) error {
	data, err := s.logLines(v, "")
	if err != nil {
		return err
	}
	sources, err := s.o.Admin.Book.Sources(v.c.Context())
	if err != nil {
		return err
	}
	data.Sources = []choice{{"", "Everywhere"}}
	for _, one := range sources {
		data.Sources = append(data.Sources, choice{one, one})
	}
	return v.render(theme.Page{Template: "admin_log", Title: "Log", Data: data, Breadcrumbs: crumbs()})
}
