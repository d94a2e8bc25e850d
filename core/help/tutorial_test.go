package help_test

import (
	"strings"
	"testing"

	"mortise/core/help"
)

func TestScaffold_RenamesTheTutorialsModuleEverywhere(t *testing.T) {
	t.Parallel()
	files, err := help.Scaffold("lamp_diary")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"module.yaml", "main.go", "templates/list.html", "help.md"} {
		if files[name] == "" {
			t.Errorf("there is no %s among %d files", name, len(files))
		}
	}
	for name, text := range files {
		if strings.Contains(strings.ToLower(text), "guestbook") {
			t.Errorf("%s still speaks of the guestbook", name)
		}
	}
	if !strings.Contains(files["main.go"], "type LampDiary struct") || !strings.Contains(files["module.yaml"], "tables: [lamp_diary_entries]") {
		t.Error("names were not made of the id")
	}
}
