package theme_test

import (
	"strings"
	"testing"

	"mortise/core/theme"
)

func TestRender_TheErrorPageSaysWhatHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	for _, tc := range []struct {
		status int
		wants  []string
	}{
		{401, []string{`href="/login?next=%2fdevices%2f1"`}},
		{403, []string{"devices.view", "An administrator can give it"}},
		{404, []string{"misspelt"}},
		{409, []string{"load the page again"}},
		{413, []string{"Send something smaller"}},
		{422, []string{"nothing was changed"}},
		{429, []string{"Try again in 30", `href="/devices/1"`}},
		{500, []string{"not your mistake", `href="/devices/1"`}},
		{502, []string{"not your mistake"}},
		{503, []string{"Try again in 30", "The rest of the site works", `href="/devices/1"`}},
		{504, []string{"no answer in time"}},
	} {
		for _, surface := range []string{theme.SurfaceSite, theme.SurfaceAdmin} {
			html := render(t, r, theme.Page{
				Surface: surface, Template: "error", Title: "A headline", Path: "/devices/1", Status: tc.status, RequestID: "7f3a91c2",
				Data: map[string]any{"status": tc.status, "title": "One sentence.", "missing_permission": "devices.view", "retry_after": 30},
			})
			contains(t, html, append(tc.wants, "<h1>A headline</h1>", "One sentence.", "7F3A-91", "To the front page")...)
			if tc.status != 403 && strings.Contains(html, "devices.view") {
				t.Errorf("the page for %d names a permission", tc.status)
			}
		}
	}
}
