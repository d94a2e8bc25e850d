// Package people is the list of customers: a mirror of the site's accounts that have no other role than customer, with what
// the module knows besides (linked accounts, devices, notes), so that ten thousand of them can be searched, sorted and paged
// in a few milliseconds.
//
// The site's accounts stay the truth. The mirror hears of each change by a fact and compares itself with all accounts in the
// job "sync"; older news never replace newer ones. Directory is what the other parts use; People adds the pages, the import and
// the export.
package people
