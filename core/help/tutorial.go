package help

import (
	"fmt"
	"regexp"
	"strings"
)

// tutorialFile finds a file in the page about writing a module: a heading with its path, and the first block of code below.
var tutorialFile = regexp.MustCompile("(?ms)^## plugins/guestbook/(\\S+)$.*?^```\\w+\\n(.*?)^```$")

// Tutorial gives the files of the module that the page "Write a module" builds, by their path in the module's folder.
func Tutorial() (map[string]string, error) {
	page, err := own.ReadFile("module.md")
	if err != nil {
		return nil, fmt.Errorf("read the tutorial: %w", err)
	}
	files := map[string]string{}
	for _, m := range tutorialFile.FindAllStringSubmatch(string(page), -1) {
		files[m[1]] = m[2]
	}
	return files, nil
}

// Scaffold gives the tutorial's files for a module of another id, to start from.
func Scaffold(id string) (map[string]string, error) {
	files, err := Tutorial()
	if err != nil {
		return nil, err
	}
	rename := strings.NewReplacer("guestbook", id, "Guestbook", camel(id))
	for path, text := range files {
		files[path] = rename.Replace(text)
	}
	return files, nil
}

// camel makes a Go type's name of an id: lamp_diary gives LampDiary.
func camel(id string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(id, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}
