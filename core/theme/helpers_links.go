package theme

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// joinURL builds a path from a constant start and parts from data. A part can never leave its place: slashes are escaped, and "."
// and "..", which browsers resolve even when escaped, become "_".
func joinURL(start string, parts ...any) (string, error) {
	if !strings.HasPrefix(start, "/") || strings.HasPrefix(start, "//") {
		return "", errors.New("url: expected a path of this site")
	}
	if err := fits(maxText-len(start), true, parts...); err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	path := strings.TrimSuffix(start, "/")
	for _, part := range parts {
		text := shown(part)
		if text == "." || text == ".." || text == "" {
			text = "_"
		}
		path += "/" + url.PathEscape(text)
	}
	if path == "" {
		path = "/"
	}
	return path, nil
}

// changeQuery gives the address of this page with some keys of its query changed. An empty value takes the key out.
func changeQuery(root any, pairs ...any) (string, error) {
	p := pageOf(root)
	if p == nil {
		return "", errNoPage("query")
	}
	if len(pairs)%2 != 0 {
		return "", errors.New("query: expected a value for every key")
	}
	query := maps.Clone(p.Query)
	if query == nil {
		query = url.Values{}
	}
	for i := 0; i < len(pairs); i += 2 {
		key, value := shown(pairs[i]), shown(pairs[i+1])
		if value == "" {
			query.Del(key)
			continue
		}
		query.Set(key, value)
	}
	if len(query) == 0 {
		return "?", nil
	}
	return "?" + query.Encode(), nil
}

// pager gives partials/pager what it draws, for the given page of so many entries.
func pager(root, total, number, perPage any) (map[string]any, error) {
	p := pageOf(root)
	if p == nil {
		return nil, errNoPage("pager")
	}
	all, _ := toInt(total)
	each, _ := toInt(perPage)
	at, _ := toInt(number)
	each = max(each, 1)
	all = max(all, 0)
	pages := max((all+each-1)/each, 1)
	at = min(max(at, 1), pages)
	link := func(n int64) string {
		value := any(n)
		if n == 1 {
			value = ""
		}
		target, _ := changeQuery(root, "page", value) // fails only for an odd number of arguments
		return target
	}
	m := map[string]any{
		"page": p, "total": all, "number": at, "pages": pages,
		"from": min((at-1)*each+1, all), "to": min(at*each, all),
	}
	if at > 1 {
		m["previous"] = link(at - 1)
	}
	if at < pages {
		m["next"] = link(at + 1)
	}
	var items []any
	for _, n := range shownPages(at, pages) {
		items = append(items, map[string]any{"number": n, "path": link(n), "current": n == at})
	}
	m["items"] = items
	return m, nil
}

// shownPages are the first, the last and those around the current page; 0 stands for a gap.
func shownPages(at, pages int64) []int64 {
	wanted := []int64{1, at - 1, at, at + 1, pages}
	slices.Sort(wanted)
	var out []int64
	for _, n := range slices.Compact(wanted) {
		if n < 1 || n > pages {
			continue
		}
		if len(out) > 0 && n > out[len(out)-1]+1 {
			out = append(out, 0)
		}
		out = append(out, n)
	}
	return out
}
