// Package privacy shows what the site keeps about a customer, hands it out as a file, and has it erased. It has the pages for
// who looks after privacy and the page on which customers see, download and delete what is theirs.
//
// Erasing is recorded before it begins, with each step that is done, so that it goes on after a crash: asking every module
// takes a person, all the rest does not. The record proves later what was done; it holds numbers and times, no name, no
// address, and no reason that a module gave.
package privacy
