package privacy

import "strings"

// What browsers and systems say of themselves. Those that claim to be others as well come before them.
var (
	browsers = [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems  = [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Macintosh", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// browserName says in words what a session's User-Agent tells, "" when it is nothing known.
func browserName(agent string) string {
	browser, system := mark(agent, browsers), mark(agent, systems)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case system != "":
		return "A browser on " + system
	}
	return browser
}

func mark(agent string, marks [][2]string) string {
	for _, m := range marks {
		if strings.Contains(agent, m[0]) {
			return m[1]
		}
	}
	return ""
}
