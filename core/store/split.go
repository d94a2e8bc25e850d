package store

import "bytes"

// splitStatements cuts text at the semicolons between statements and drops empty ones. go-sqlite3's Prepare would compile the first
// statement and silently forget the others.
func splitStatements(text []byte) [][]byte {
	if bytes.IndexByte(text, ';') < 0 {
		return [][]byte{text} // the usual case
	}
	var list [][]byte
	start, blank := 0, true
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ';':
			if !blank {
				list = append(list, text[start:i])
			}
			i++
			start, blank = i, true
		case c == '-' && bytes.HasPrefix(text[i:], []byte("--")):
			i = after(text, i+2, "\n")
		case c == '/' && bytes.HasPrefix(text[i:], []byte("/*")):
			i = after(text, i+2, "*/")
		case c == '\'' || c == '"' || c == '`':
			blank = false
			i = after(text, i+1, string(c)) // a doubled quote ends one text and begins the next, which is right for cutting
		case c == '[':
			blank = false
			i = after(text, i+1, "]")
		default:
			blank = blank && (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
			i++
		}
	}
	if !blank {
		list = append(list, text[start:])
	}
	return list
}

// after gives the place behind the next end at or after i, or the end of text.
func after(text []byte, i int, end string) int {
	if n := bytes.Index(text[i:], []byte(end)); n >= 0 {
		return i + n + len(end)
	}
	return len(text)
}
