package theme

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// File is an asset, ready to be sent. Its bytes must not be changed.
type File struct {
	Body         []byte
	Gzip         []byte // nil when compressing does not pay
	Type         string // Content-Type
	ETag         string // with its quotes
	CacheControl string
}

// immutable is right for every asset: another content has another path.
const immutable = "public, max-age=31536000, immutable"

// assetTypes are the kinds of files that a theme may serve. Others in assets/, such as licences, are not served.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
}

// assetSet is what one active theme serves.
type assetSet struct {
	paths map[string]string // "site.js" → "/assets/customer/site-3fa9c1d2e0.js"
	files map[string]File   // by path
	icons map[string]bool   // ids in icons.svg
}

// buildAssets hashes the assets of a chain of themes and the two generated style sheets: tokens.css, and style.css, which joins
// the styles of all themes of the chain. known spares compressing again what did not change.
func buildAssets(chain []*source, tokens Tokens, known func(path string) (File, bool)) (assetSet, error) {
	id := chain[len(chain)-1].ID
	bodies := map[string][]byte{}
	var style bytes.Buffer
	for _, theme := range chain {
		maps.Copy(bodies, theme.assets)
	}
	for _, theme := range chain {
		for _, name := range theme.Styles {
			body, ok := bodies[name]
			if !ok {
				return assetSet{}, fmt.Errorf("theme %s: styles: there is no assets/%s", theme.ID, name)
			}
			style.Write(body)
			style.WriteByte('\n')
		}
	}
	bodies["tokens.css"] = tokens.css()
	bodies["style.css"] = slimCSS(style.Bytes())
	set := assetSet{paths: map[string]string{}, files: map[string]File{}, icons: iconIDs(bodies["icons.svg"])}
	for name, body := range bodies {
		kind, ok := assetTypes[path.Ext(name)]
		if !ok {
			continue
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:5])
		ext := path.Ext(name)
		at := "/assets/" + id + "/" + strings.TrimSuffix(name, ext) + "-" + hash + ext
		set.paths[name] = at
		if f, ok := known(at); ok && bytes.Equal(f.Body, body) {
			set.files[at] = f
			continue
		}
		set.files[at] = File{Body: body, Gzip: compressed(body), Type: kind, ETag: `"` + hash + `"`, CacheControl: immutable}
	}
	return set, nil
}

// compressed is nil when gzip saves less than a tenth.
func compressed(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(body); err != nil || w.Close() != nil || b.Len() > len(body)*9/10 {
		return nil
	}
	return slices.Clip(b.Bytes())
}

// slimCSS leaves out comments, the indentation and empty lines. It knows nothing else of CSS, so it cannot break any of it but a
// text with "/*" inside, which the themes do not have.
func slimCSS(body []byte) []byte {
	var out bytes.Buffer
	for {
		start := bytes.Index(body, []byte("/*"))
		if start < 0 {
			out.Write(body)
			break
		}
		out.Write(body[:start])
		end := bytes.Index(body[start:], []byte("*/"))
		if end < 0 {
			break
		}
		body = body[start+end+2:]
	}
	var lines bytes.Buffer
	for line := range bytes.Lines(out.Bytes()) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines.Write(line)
			lines.WriteByte('\n')
		}
	}
	return lines.Bytes()
}

// iconIDs lists the symbols of the sprite.
func iconIDs(sprite []byte) map[string]bool {
	ids := map[string]bool{}
	for _, part := range strings.Split(string(sprite), `<symbol id="`)[1:] {
		if id, _, ok := strings.Cut(part, `"`); ok {
			ids[id] = true
		}
	}
	return ids
}
