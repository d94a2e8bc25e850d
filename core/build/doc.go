// Package build makes the programs of modules inside the source tree: whatever is missing or older than its sources. That is what lets
// one command start the site, and what a test needs before it starts a module.
//
// Age is told by the files' times, which takes milliseconds; the Go tool itself needs a tenth of a second for each module just to say
// that nothing is to do. A program gets the time at which its build began, so that an edit during the build is not lost.
package build
