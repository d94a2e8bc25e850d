package theme

import (
	"html/template"
	"maps"
	"strings"
)

// Helper describes a function of the templates, for the help pages and for whoever remembers rendered pages.
type Helper struct {
	Name    string
	Usage   string // an example call
	Does    string
	Visitor bool // the result depends on who looks: time zone, permissions, session
	Clock   bool // the result depends on the time of the render
	call    any  // the function; nil for those that need the assets of the theme
}

// Helpers lists every function that templates have besides those of html/template. Functions that look at the page take $ first.
func Helpers() []Helper {
	return []Helper{
		{"csrf", `{{csrf $}}`, "the hidden field that every form with method=post needs", true, false, csrfField},
		{"can", `{{if can $ "devices.control"}}`, "whether the visitor has a permission", true, false, can},
		{"ago", `{{ago $ .last_heard}}`, `"3 minutes ago" with the exact time beside it; "never" for null`, true, true, ago},
		{"time", `{{time $ .at}}`, "date and time in the visitor's zone", true, false, exactTime},
		{"date", `{{date $ .at}}`, "the day in the visitor's zone", true, false, date},
		{"clock", `{{clock $ .at}}`, "the time of day in the visitor's zone", true, false, clock},
		{"url", `{{url "/devices" .id}}`, "a path; every part after the first is escaped", false, false, joinURL},
		{"query", `{{query $ "page" 2}}`, `this page's address with a changed query; "" takes a key out`, false, false, changeQuery},
		{"sortlink", `{{sortlink $ "name" "Name"}}`, "a table heading that sorts, by ?sort=name and ?sort=-name", false, false, nil},
		{"pager", `{{template "partials/pager" (pager $ .Data.total .Data.page 25)}}`, "what the pager partial needs: of how many, which page, how many a page", false, false, pager},
		{"icon", `{{icon "device"}}`, "an icon of the theme's set, hidden from screen readers because a word stands beside it", false, false, nil},
		{"pill", `{{pill "good" "Online"}}`, "a state as icon and word: good, warn, bad, off or info", false, false, nil},
		{"asset", `{{asset "site.js"}}`, "the address of a file of the theme", false, false, nil},
		{"num", `{{num .value "°C"}}`, "a number with sensible digits, and its unit", false, false, num},
		{"size", `{{size .bytes}}`, "a number of bytes", false, false, size},
		{"percent", `{{percent .share}}`, "a share from 0 to 1", false, false, percent},
		{"duration", `{{duration .seconds}}`, "a number of seconds as a time span", false, false, span},
		{"plural", `{{plural .count "device" "devices"}}`, "a number with its noun", false, false, plural},
		{"dict", `{{dict "page" $ "title" "None"}}`, `a map for a partial; pass "page" $ so that $ keeps working there`, false, false, dict},
		{"list", `{{list "a" "b"}}`, "a list", false, false, list},
		{"default", `{{default "—" .name}}`, "the first value where the second is empty", false, false, orDefault},
		{"join", `{{join ", " .roles}}`, "a list as text", false, false, join},
		{"lower", `{{lower .name}}`, "in small letters", false, false, textFunc(strings.ToLower)},
		{"upper", `{{upper .name}}`, "in capitals", false, false, textFunc(strings.ToUpper)},
		{"title", `{{title .state}}`, "with a capital first letter", false, false, textFunc(capitalised)},
		{"words", `{{words "client_secret"}}`, "a name as words: Client secret", false, false, textFunc(words)},
		{"truncate", `{{truncate 40 .text}}`, "at most so many characters", false, false, truncate},
		{"contains", `{{if contains .roles "customer"}}`, "whether a list has an element or a text a part", false, false, contains},
		{"count", `{{count .devices}}`, "how many elements; 0 for null", false, false, count},
		{"first", `{{first .devices}}`, "the first element; nothing when there is none", false, false, first},
		{"keys", `{{range keys .map}}`, "the sorted keys of a map", false, false, keys},
		{"json", `<pre>{{json .payload}}</pre>`, "indented JSON, escaped like any text", false, false, prettyJSON},
		{"add", `{{add .n 1}}`, "a sum", false, false, add},
		{"sub", `{{sub .n 1}}`, "a difference", false, false, sub},
		{"seq", `{{range seq 3}}`, "1, 2, 3; at most 1000", false, false, seq},
		{"ref", `{{ref .RequestID}}`, "a request's id in the short form that people can read out", false, false, reference},
		{"text", `{{if text .option}}`, "whether a value is a text", false, false, isText},
		{"secretHint", `{{secretHint .set}}`, "the placeholder of a secret's field", false, false, secretHint},
		{"safeHTML", `{{safeHTML .body}}`, "HTML of somebody else, through the sanitizer: no scripts, styles, forms or frames", false, false, safeHTML},
		{"eq", `{{if eq .n 1}}`, "equal to one of the others; numbers of all kinds compare by value", false, false, equal},
		{"ne", `{{if ne .n 1}}`, "not equal", false, false, notEqual},
		{"lt", `{{if lt .n 1}}`, "less", false, false, less},
		{"le", `{{if le .n 1}}`, "less or equal", false, false, atMost},
		{"gt", `{{if gt .n 1}}`, "greater", false, false, more},
		{"ge", `{{if ge .n 1}}`, "greater or equal", false, false, atLeast},
	}
}

// helperFuncs binds the helpers to a theme's assets.
func helperFuncs(assets assetSet) template.FuncMap {
	funcs := template.FuncMap{
		"asset":    assets.path,
		"icon":     assets.icon,
		"pill":     assets.pill,
		"sortlink": assets.sortLink,
	}
	maps.Copy(funcs, boundedPrints())
	for _, h := range Helpers() {
		if h.call != nil {
			funcs[h.Name] = h.call
		}
	}
	return funcs
}
