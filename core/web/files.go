package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"mortise/core/theme"
)

// asset serves a theme's file from memory. Its path carries a digest of its content, so it never changes.
func (s *Server) asset(v *visit) error {
	file, ok := s.o.Theme.Asset(v.path)
	if !ok {
		return errNotFound
	}
	return v.file(file)
}

func (v *visit) file(file theme.File) error {
	h := &v.c.Response().Header
	h.Set(fiber.HeaderContentType, file.Type)
	h.Set(fiber.HeaderCacheControl, file.CacheControl)
	h.Set(fiber.HeaderETag, file.ETag)
	if file.Gzip != nil {
		h.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	}
	if file.ETag != "" && v.c.Get(fiber.HeaderIfNoneMatch) == file.ETag {
		v.c.Status(fiber.StatusNotModified)
		return nil
	}
	body := file.Body
	if file.Gzip != nil && strings.Contains(v.c.Get(fiber.HeaderAcceptEncoding), "gzip") {
		h.Set(fiber.HeaderContentEncoding, "gzip")
		body = file.Gzip
	}
	v.c.Response().SetBodyRaw(body)
	return nil
}

// favicon serves the theme's icon under the names that browsers try.
func (s *Server) favicon(v *visit) error {
	path, ok := s.o.Theme.AssetPath(theme.SurfaceSite, "favicon.svg")
	if !ok {
		return errNotFound
	}
	file, ok := s.o.Theme.Asset(path)
	if !ok {
		return errNotFound
	}
	file.CacheControl = "public, max-age=3600" // this path has no digest
	return v.file(file)
}

// robots keeps crawlers to the front page: everything else is somebody's own.
func (s *Server) robots(v *visit) error {
	v.c.Response().Header.Set(fiber.HeaderCacheControl, "public, max-age=86400")
	v.c.Response().Header.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	return v.c.SendString("User-agent: *\nAllow: /$\nAllow: /assets/\nDisallow: /\n")
}

// webManifest lets a phone keep the site on its home screen.
func (s *Server) webManifest(v *visit) error {
	name := s.o.Site.Get("site.name")
	icons := []map[string]string{}
	if path, ok := s.o.Theme.AssetPath(theme.SurfaceSite, "favicon.svg"); ok {
		icons = append(icons, map[string]string{"src": path, "sizes": "any", "type": "image/svg+xml"})
	}
	v.c.Response().Header.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	return v.c.JSON(map[string]any{
		"name": name, "short_name": clip(name, 24), "start_url": "/", "scope": "/", "display": "standalone", "icons": icons,
	}, "application/manifest+json")
}
