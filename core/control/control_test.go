package control_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mortise/core/control"
	"mortise/core/fault"
)

// recorder is an operator's site that remembers what it was asked.
type recorder struct {
	control.Operations // the rest is not called
	asked              []string
}

func (r *recorder) Act(_ context.Context, id string, action control.Action, options control.ActOptions) (control.Report, error) {
	if id == "gone" {
		return control.Report{}, fault.New(fault.NotFound, "there is no module %q", id)
	}
	r.asked = append(r.asked, string(action)+" "+id)
	return control.Report{Changed: options.WithRequired, Text: "done"}, nil
}

func TestControl_CarriesActionsAndFaultsOverTheSocket(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, data string }{
		{"short path", t.TempDir()},
		{"path longer than a socket's may be", filepath.Join(t.TempDir(), strings.Repeat("long", 40))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			site := &recorder{}
			server, err := control.Listen(control.SocketPath(tc.data), site)
			if err != nil {
				t.Fatal(err)
			}
			client, err := control.Dial(t.Context(), tc.data)
			if err != nil {
				t.Fatal(err)
			}
			report, err := client.Act(t.Context(), "devices", control.Enable, control.ActOptions{WithRequired: true})
			if err != nil || !report.Changed || report.Text != "done" || len(site.asked) != 1 || site.asked[0] != "enable devices" {
				t.Errorf("report = %+v, err = %v, asked = %v", report, err, site.asked)
			}
			if _, err := client.Act(t.Context(), "gone", control.Pause, control.ActOptions{}); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), `"gone"`) {
				t.Errorf("err = %v, want not found, naming the module", err)
			}
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if _, err := control.Dial(t.Context(), tc.data); !fault.Is(err, fault.Unavailable) {
				t.Errorf("err = %v after Close, want unavailable", err)
			}
			if _, err := os.Lstat(control.SocketPath(tc.data)); !os.IsNotExist(err) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}
