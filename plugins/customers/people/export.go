package people

import (
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"time"

	"mortise/core/sdk"
)

const rowsAtOnce = 500

// export gives the customers of the list's filter as a CSV file, by their numbers.
func (p *People) export(w http.ResponseWriter, r *http.Request) {
	q := filterOf(r).query(p.site.Now())
	heads := []string{"E-mail", "Name", "State", "Blocked", "Created", "Invited", "Last seen", "Linked accounts", "Devices", "Number"}
	p.writeCSV(w, r, "customers-"+p.site.Now().Format("2006-01-02")+".csv", heads, func(after int64) (rows [][]string, last int64, err error) {
		list, err := p.store.after(r.Context(), q, after, rowsAtOnce)
		for i := range list {
			x := &list[i]
			blocked := "no"
			if x.Blocked {
				blocked = "yes"
			}
			rows, last = append(rows, []string{x.Email, x.Name, x.State, blocked, stamp(&x.CreatedAt), stamp(x.InvitedAt), stamp(x.LastSeenAt),
				strconv.Itoa(x.Linked), strconv.Itoa(x.Devices), strconv.FormatInt(x.UserID, 10)}), x.UserID
		}
		return rows, last, err
	})
}

// stamp is a time in UTC as spreadsheets read it; "" for none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// writeCSV sends a file row by row as next gives them: the rows after the one with a number, and the number of the last. No more than some
// hundred rows are in memory, and no statement stays open while the visitor reads.
func (p *People) writeCSV(w http.ResponseWriter, r *http.Request, name string, heads []string, next func(after int64) (rows [][]string, last int64, err error)) {
	rows, last, err := next(0)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, "\uFEFF") // Excel takes the file for Windows-1252 without it
	out := csv.NewWriter(w)
	_ = out.Write(heads)
	for len(rows) > 0 {
		for _, row := range rows {
			for i := range row {
				row[i] = guard(row[i])
			}
			_ = out.Write(row)
		}
		if out.Flush(); out.Error() != nil {
			return // the visitor is gone
		}
		if rows, last, err = next(last); err != nil {
			p.site.Host.Log().Warn("a download was broken off", "error", err)
			panic(http.ErrAbortHandler) // the file must not look whole
		}
	}
	out.Flush()
}
