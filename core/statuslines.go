package core

import (
	"context"
	"fmt"
	"strings"

	"mortise/core/catalogue"
	"mortise/core/sdk"
	"mortise/core/status"
	"mortise/core/supervisor"
)

// statusOfHost is how the host's own parts are, each with its remedy.
func (h *Host) statusOfHost(ctx context.Context) []status.Line {
	return []status.Line{
		{ID: "version", Title: "Version", Level: status.Good, Text: "Mortise " + Version},
		h.storeLine(ctx), h.keyLine(ctx), h.mailLine(), h.urlLine(),
	}
}

func (h *Host) storeLine(ctx context.Context) status.Line {
	line := status.Line{ID: "store", Title: "Store", Level: status.Good}
	size, err := h.store.Size()
	if err == nil {
		err = h.store.Read(ctx).Exec("SELECT 1").Error
	}
	if err != nil {
		line.Level, line.Text = status.Bad, "The store does not answer."
		line.Remedy = "Look at the disk and at the log; restore a backup if the file is damaged."
		return line
	}
	line.Text = fmt.Sprintf("%s, %.1f MB", h.store.Path(), float64(size)/1e6)
	return line
}

func (h *Host) keyLine(ctx context.Context) status.Line {
	line := status.Line{ID: "key", Title: "Sealing key", Level: status.Good}
	s := h.vault.Status()
	line.Text = "from the environment"
	if s.Source == "file" {
		line.Text = s.Path
	}
	switch err := h.vault.Check(ctx); {
	case err != nil:
		line.Level, line.Text = status.Bad, "The key does not open the sealed values."
		line.Remedy = "Put the right key file back, or name it with --key-file."
	case s.Loose:
		line.Level, line.Remedy = status.Warn, fmt.Sprintf("Others on this machine can read the key file: chmod 600 %s", s.Path)
	}
	return line
}

func (h *Host) mailLine() status.Line {
	line := status.Line{ID: "mail", Title: "Mail", Level: status.Good}
	s := h.mail.Status()
	switch {
	case s.Mode == "folder":
		line.Level, line.Text = status.Info, "Mails become files in "+s.Folder+"."
		line.Remedy = "Set MORTISE_SMTP_URL to a mail server to have them sent."
	case s.LastError != "" && s.Queued > 0:
		line.Level, line.Text = status.Warn, fmt.Sprintf("%s does not take mails; %d wait.", s.Server, s.Queued)
		line.Remedy = "Look at the log for what the server answered."
	default:
		line.Text = fmt.Sprintf("%s, %d sent", s.Server, s.Sent)
	}
	return line
}

func (h *Host) urlLine() status.Line {
	line := status.Line{ID: "public-url", Title: "Public URL", Level: status.Good, Text: h.URL()}
	local := strings.HasPrefix(h.URL(), "http://127.0.0.1") || strings.HasPrefix(h.URL(), "http://localhost") || strings.HasPrefix(h.URL(), "http://[::1]")
	if strings.HasPrefix(h.URL(), "http://") {
		line.Level, line.Remedy = status.Warn, "Passwords travel in the clear: use TLS (--tls-cert and --tls-key, or a proxy) and a public URL with https://."
		if local {
			line.Level, line.Remedy = status.Info, "Only this machine can reach it. For others give --public-url with https://."
		}
	}
	return line
}

// statusOfModules is how the modules are: their states, missing settings, and what they found themselves.
func (h *Host) statusOfModules(ctx context.Context) []status.Line {
	var lines []status.Line
	for _, p := range h.catalogue.Problems() {
		lines = append(lines, status.Line{ID: "folder/" + p.ID, Title: "Folder " + p.Dir, Level: status.Warn, Text: p.Reason, Remedy: p.Remedy, Link: "/admin/modules"})
	}
	for _, e := range h.modules.List() {
		if e.Row.Desired == catalogue.None {
			continue
		}
		link := "/admin/modules/" + e.Manifest.ID
		line := status.Line{ID: "module/" + e.Manifest.ID, Title: e.Manifest.Name, Level: status.Good, Link: link, Text: string(e.Status.State)}
		if e.Status.Reason != "" {
			line.Text += ": " + e.Status.Reason
		}
		line.Level, line.Remedy = levelOf(e.Status)
		lines = append(lines, line)
		missing, err := h.catalogue.SettingsMissing(ctx, e.Manifest.ID)
		// A module that speaks for itself says it better: "nobody can link yet", not "two fields are empty".
		if err == nil && len(missing) > 0 && len(e.Status.Findings) == 0 {
			names := make([]string, len(missing))
			for i, s := range missing {
				names[i] = s.Label
			}
			lines = append(lines, status.Line{
				ID: "settings/" + e.Manifest.ID, Title: e.Manifest.Name, Level: status.Warn, Link: link + "/settings",
				Text: "Settings are missing: " + strings.Join(names, ", ") + ".", Remedy: "Fill in the settings form.",
			})
		}
		for _, f := range e.Status.Findings {
			lines = append(lines, status.Line{
				ID: "finding/" + e.Manifest.ID, Title: e.Manifest.Name, Level: levelOfFinding(f.Level), Text: f.Title, Remedy: f.Remedy, Link: f.Link,
			})
		}
	}
	return lines
}

func levelOf(s supervisor.Status) (status.Level, string) {
	switch s.State {
	case supervisor.Quarantined, supervisor.Incompatible:
		return status.Bad, s.Remedy
	case supervisor.Backoff:
		return status.Warn, s.Remedy
	case supervisor.Paused:
		return status.Info, ""
	}
	return status.Good, ""
}

func levelOfFinding(l sdk.Level) status.Level {
	switch l {
	case sdk.LevelError:
		return status.Bad
	case sdk.LevelWarning:
		return status.Warn
	}
	return status.Info
}

// attention counts what needs somebody, for the mark in the admin frame. Every admin page asks, so it is memory alone.
func (h *Host) attention() int { return int(h.findings.Load()) }

// countFindings looks anew at what needs somebody.
func (h *Host) countFindings(ctx context.Context) {
	h.findings.Store(int64(len(status.Attention(h.board.Lines(ctx)))))
}
