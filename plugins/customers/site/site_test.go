package site_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

func TestReadable_TakesOutWhatCannotBeReadAndShortens(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"  Ann\tMüller \n": "Ann Müller",
		"a\x00b\u202ec":    "abc",
		"\xff":             "",
		"日本語の名前":           "日本語の名",
	} {
		if got := site.Readable(in, 10); strings.HasPrefix(want, "日") {
			if got = site.Readable(in, 5); got != want {
				t.Errorf("%q became %q", in, got)
			}
		} else if got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	if got := site.ReadableLines("one \r\n\r\ntwo\x07", 50); got != "one\n\ntwo" {
		t.Errorf("lines became %q", got)
	}
}

func TestPage_TakesOnlyWhatIsOffered(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][2]int{
		"":                   {1, 25},
		"page=3&size=50":     {3, 50},
		"page=-1&size=51":    {1, 25},
		"page=9999999&size=": {1, 25},
		"page=x":             {1, 25},
	} {
		page, size := site.Page(httptest.NewRequest("GET", "/?"+query, nil), 25, 50)
		if page != want[0] || size != want[1] {
			t.Errorf("%q gave page %d of size %d", query, page, size)
		}
	}
}

func TestLike_LetsNothingOfTheTextMeanAnything(t *testing.T) {
	t.Parallel()
	if got := site.Like(`50%_\`); got != `%50\%\_\\%` {
		t.Errorf("got %q", got)
	}
}

func TestOnce_IsReadBackAndNothingElseIs(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"once": {site.Once()}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if once, err := site.ReadOnce(r); err != nil || once == "" {
		t.Errorf("got %q, %v", once, err)
	}
	if _, err := site.ReadOnce(httptest.NewRequest("POST", "/", nil)); !fault.Is(err, fault.Invalid) {
		t.Errorf("a form without the word gave %v", err)
	}
}

func TestPersonOf_ReadsTheSubjectsOfTheHostAlone(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]int64{"user/12": 12, "user/": 0, "user/-3": 0, "order/12": 0, "user/12/x": 0} {
		id, ok := site.PersonOf(sdk.Event{Subject: subject})
		if ok != (want != 0) || ok && id != want {
			t.Errorf("%q gave %d, %v", subject, id, ok)
		}
	}
}

func TestSubject_IsOneLineThatAMailTakes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"A new password for Garden\r\nBcc: eve@example.com": "A new password for Garden  Bcc: eve@example.com",
		strings.Repeat("庭", 100):                            strings.Repeat("庭", 66),
		strings.Repeat("a", 300):                            strings.Repeat("a", 200),
	} {
		if got := site.Subject(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}
