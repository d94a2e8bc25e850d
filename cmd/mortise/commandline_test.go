package main_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCommandLine_SaysWhichValueIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	for _, tc := range []struct{ args, want string }{
		{"user create new@example.com --password short", "password: "},
		{"user create " + w.Customer.Email, "email: "},
		{"user role " + w.Customer.Email + " nobody", "roles: "},
	} {
		out, err := w.command(strings.Fields(tc.args)...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s printed %q, %v; want a line with %q", tc.args, out, err, tc.want)
		}
	}
}

func TestCommandLine_EveryCommandThatPrintsCanPrintJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	for _, args := range []string{"status", "module list", "module show linking", "user list", "user login-link " + w.Customer.Email, "key rotate"} {
		out, err := w.command(append(strings.Fields(args), "--json")...)
		if err != nil || !json.Valid([]byte(out)) {
			t.Errorf("%s printed %q, %v", args, out, err)
		}
	}
	if out, err := w.run("version", "--json"); err != nil || !strings.HasPrefix(out, `{"version":"`) {
		t.Errorf("version printed %q, %v", out, err)
	}
}
