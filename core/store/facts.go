package store

import (
	"slices"
	"strings"
)

// unsteadyFunctions give another result although no table has changed.
var unsteadyFunctions = set(`random randomblob changes total_changes last_insert_rowid date time datetime julianday unixepoch strftime
	timediff current_date current_time current_timestamp`)

// allowedFunctions depend on their arguments alone. Everything else is denied, above all load_extension, fts3_tokenizer, readfile and
// what a later SQLite may add. Source: https://sqlite.org/lang_corefunc.html and its neighbours.
var allowedFunctions = set(`abs char coalesce concat concat_ws format glob hex ifnull iif if instr length octet_length like likelihood
	likely unlikely lower ltrim max min nullif printf quote replace round rtrim sign soundex sqlite_version substr substring trim typeof
	unhex unicode unistr unistr_quote upper zeroblob avg count group_concat string_agg sum total median
	row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
	json jsonb json_array jsonb_array json_array_length json_error_position json_extract jsonb_extract -> ->> json_insert jsonb_insert
	json_object jsonb_object json_patch jsonb_patch json_pretty json_remove jsonb_remove json_replace jsonb_replace json_set jsonb_set
	json_type json_valid json_quote json_group_array jsonb_group_array json_group_object jsonb_group_object
	acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power radians sin sinh
	sqrt tan tanh trunc`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

func (a *authorizer) noteRead(table string) {
	if a.facts != nil && !slices.Contains(a.facts.Reads, table) {
		a.facts.Reads = append(a.facts.Reads, table)
	}
}

func (a *authorizer) noteWrite(table string) {
	if a.facts != nil && !slices.Contains(a.facts.Writes, table) {
		a.facts.Writes = append(a.facts.Writes, table)
	}
}

// unsteady notes that the statement's result depends on more than tables and arguments.
func (a *authorizer) unsteady() {
	if a.facts != nil {
		a.facts.Deterministic = false
	}
}
