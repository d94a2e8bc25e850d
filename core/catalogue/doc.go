// Package catalogue knows the modules of the site: what lies in the plugin folders, and what the administrator decided about it.
//
// A folder only proposes a module; a row decides. Enabling one records the manifest that was accepted, so that the site knows what a
// module was granted even when its folder changes or goes away. The folders are read at start and on Rescan, never per request:
// everything else is answered from a snapshot in memory.
//
// The package decides nothing about processes; that is the supervisor's work.
package catalogue
