// Package modules is what administrators and operators do to modules, as single operations: enable, pause, resume, restart,
// remove, change settings, test settings.
//
// Each ties together what the parts know on their own: the catalogue (what lies on disk and what somebody wanted), the
// supervisor (what runs), the route snapshot, the theme's templates and the roles. The admin pages and the command line call
// the same Manager.
package modules
