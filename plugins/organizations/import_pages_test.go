package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
)

// upload sends a file as a browser does.
func (b *bench) upload(t *testing.T, name string, content []byte, fields url.Values) moduletest.Answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for key, values := range fields {
		_ = form.WriteField(key, values[0])
	}
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(content)
	_ = form.Close()
	r := b.Request(ada, http.MethodPost, imports+"/new", nil, "text/html")
	r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
	r.Header.Set("Content-Type", form.FormDataContentType())
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return moduletest.Answer{Status: res.StatusCode, Location: res.Header.Get("Location"), Body: string(text)}
}

func TestImport_TakesAFileAndReportsItAsATableWithoutFormulas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	ids := b.spares(2)
	content := "\ufeffid,name\r\n" + strings.ToUpper(ids[0]) + ",\"=HYPERLINK(\"\"http://x\"\")\"\r\n@SUM(1),\r\n" + ids[1] + ",\r\n"
	fields := url.Values{"product": {"10001"}, "text": {""}, "once": {newOnce()}}
	a := b.upload(t, `C:\lists\Büro.csv`, []byte(content), fields)
	if a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d %s", a.Status, a.Body)
	}
	if v := b.rests(t, a.Location); v.FileName != "Büro.csv" || v.Counts[lineAdded] != 2 || v.Counts[lineNotID] != 1 {
		t.Errorf("is %+v", v)
	}
	report := b.Get(ada, a.Location+"/report")
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(report.Body, "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 4 || rows[1][2] != ids[0] || rows[1][3] != "added" || rows[1][5] != `'=HYPERLINK("http://x")` || rows[2][1] != "'@SUM(1)" {
		t.Errorf("reported %v %v", rows, err)
	}
	if !strings.HasPrefix(report.Header.Get("Content-Disposition"), "attachment") {
		t.Error("it is not for downloading")
	}
	for name, one := range map[string]struct {
		content []byte
		text    string
		field   string
	}{
		"too large": {bytes.Repeat([]byte("x"), maxImportBytes+1), "", "file"},
		"both":      {[]byte(ids[0]), ids[1], "file"},
		"neither":   {nil, "", "text"},
		"no text":   {[]byte("PK\x03\x04"), "", "file"},
	} {
		a := b.upload(t, "list.csv", one.content, url.Values{"product": {"10001"}, "text": {one.text}, "once": {newOnce()}})
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, `"`+one.field+`":"`) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

func TestImport_IsForThoseWhoMayAndForThisWorkspaceAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	page := b.begin(t, importing(strings.Join(b.spares(2), "\n")))
	b.rests(t, page)
	if a := b.Post(ada, root+"/workspaces/new", url.Values{"name": {"Other"}, "base_url": {b.url}, "token": {b.token}}); a.Status != http.StatusSeeOther {
		t.Fatal(a.Body)
	}
	calls := b.upstream()
	for _, path := range []string{imports, imports + "/new", page, page + "/report"} {
		for name, person := range map[string]sdk.Identity{"staff": staff, "a customer": ann} {
			if a := b.Get(person, path); a.Status != http.StatusForbidden {
				t.Errorf("%s at %s: %d", name, path, a.Status)
			}
		}
		if a := b.Get(nobody, path); a.Status == http.StatusOK {
			t.Errorf("nobody at %s: %d", path, a.Status)
		}
	}
	for _, path := range []string{imports + "/new", page + "/cancel", page + "/go-on"} {
		for name, person := range map[string]sdk.Identity{"staff": staff, "a customer": ann} {
			if a := b.Post(person, path, importing(spare(1))); a.Status != http.StatusForbidden {
				t.Errorf("%s at %s: %d", name, path, a.Status)
			}
		}
	}
	other := strings.Replace(page, "/workspaces/1/", "/workspaces/2/", 1)
	for _, path := range []string{other, other + "/report", imports + "/99", imports + "/0", imports + "/x", root + "/workspaces/99/imports", root + "/workspaces/99/imports/new",
		imports + "/new?product=10003", imports + "/new?product=x"} {
		if a := b.Get(ada, path); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	for _, path := range []string{other + "/cancel", other + "/go-on", imports + "/99/cancel", root + "/workspaces/99/imports/new"} {
		if a := b.Post(ada, path, importing(spare(1))); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	forged := importing(spare(1))
	forged.Set("product", "10003")
	if a := b.Post(ada, imports+"/new", forged); a.Status != http.StatusNotFound {
		t.Errorf("a foreign product: %d", a.Status)
	}
	if n := b.upstream(); n != calls {
		t.Errorf("Particle was asked %d times", n-calls)
	}
}

func TestImport_IsErasedWithItsWorkspaceAndAfterAYear(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	ids := b.spares(3)
	page := b.begin(t, importing(ids[0]))
	b.rests(t, page)
	b.clock.forward(keepFor + time.Hour)
	kept := b.begin(t, importing(ids[1]))
	b.rests(t, kept)
	if err := b.module.Run(t.Context(), "retention"); err != nil {
		t.Fatal(err)
	}
	if b.Get(ada, page).Status != http.StatusNotFound || b.Get(ada, kept).Status != http.StatusOK {
		t.Error("the wrong one was forgotten")
	}
	if a := b.Post(ada, first+"/remove", url.Values{"confirm": {"Garden"}}); a.Status != http.StatusSeeOther {
		t.Fatal(a.Body)
	}
	var lines int64
	if err := b.module.records.db.Model(&importLine{}).Count(&lines).Error; err != nil || lines != 0 {
		t.Errorf("%d lines are left: %v", lines, err)
	}
}
