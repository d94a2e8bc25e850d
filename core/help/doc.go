// Package help serves the handbook: the pages beside this file and the help.md of every module, written in Markdown.
//
// A page is rendered once, when the book is made. Raw HTML in a text is left out and links to anything but pages, the site
// and the web lose their target, so that the help of a module cannot do more than explain.
//
// The first line of a page is its title ("# Write a theme"). Links to other pages are written as files ("write-a-theme.md#tokens"), so
// that they work in a repository too. Pages come in the order in which index.md links them. manifest.md and helpers.md are made from the
// code: go generate ./core/help.
package help

//go:generate go run ./gen -dir .
