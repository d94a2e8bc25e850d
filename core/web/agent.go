package web

import "strings"

// browsers and systems are marks in User-Agent headers, the special before the general: Edge also says Chrome, Chrome also says
// Safari, Android also says Linux.
var (
	browsers = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"}, {"Chromium/", "Chromium"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "Mac"}, {"Linux", "Linux"},
	}
)

// browserName is a User-Agent header in words, "Firefox on Windows". It is "" when nothing in it is known.
func browserName(agent string) string {
	browser, system := markIn(agent, browsers), markIn(agent, systems)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case system != "":
		return "A browser on " + system
	}
	return browser
}

func markIn(agent string, marks [][2]string) string {
	for _, mark := range marks {
		if strings.Contains(agent, mark[0]) {
			return mark[1]
		}
	}
	return ""
}
