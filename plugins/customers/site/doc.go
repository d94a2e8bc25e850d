// Package site is what the parts of the module share: the site as they find it, and the small things of forms and lists that
// all their pages do alike.
package site
