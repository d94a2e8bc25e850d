package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestFigure_IsComparedWithItsBudgetInItsOwnDirection(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		figure        figure
		verdict, goal string
	}{
		{figure{Value: 0.9, Budget: 0.6, Aim: 0.8, Bound: true}, "aim", "≥ 0.6 (aim 0.8)"},
		{figure{Value: 0.7, Budget: 0.6, Aim: 0.8, Bound: true}, "ok", "≥ 0.6 (aim 0.8)"},
		{figure{Value: 0.599, Budget: 0.6, Aim: 0.8, Bound: true}, "MISSED", "≥ 0.6 (aim 0.8)"},
		{figure{Value: 2, Budget: 3, Aim: 1, Less: true, Bound: true}, "ok", "≤ 3 (aim 1)"},
		{figure{Value: 3.1, Budget: 3, Aim: 1, Less: true, Bound: true}, "MISSED", "≤ 3 (aim 1)"},
		{figure{Value: 0, Less: true, Bound: true}, "aim", "≤ 0"},
		{figure{Value: 1, Less: true, Bound: true}, "MISSED", "≤ 0"},
		{figure{Value: 12}, "", ""},
	} {
		if v, g := tc.figure.verdict(), tc.figure.goal(); v != tc.verdict || g != tc.goal {
			t.Errorf("%+v: %q %q, want %q %q", tc.figure, v, g, tc.verdict, tc.goal)
		}
	}
}

func TestChoose_KeepsTheOrderAndRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	got, err := choose("kill,page")
	if err != nil || len(got) != 2 || got[0].name != "page" || got[1].name != "kill" {
		t.Errorf("choose gave %v, %v", got, err)
	}
	if _, err := choose("pages"); err == nil || !strings.Contains(err.Error(), `"pages"`) {
		t.Errorf("err = %v, want it to name what it does not know", err)
	}
	last := map[place]string{}
	for _, m := range measurements() {
		last[m.on] = m.name
	}
	if last[workbench] != "kill" {
		t.Errorf("the last one of the workbench is %s, want kill, which ends the host", last[workbench])
	}
}

func TestMedian_OfEvenAndOddCounts(t *testing.T) {
	t.Parallel()
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median = %v, want 2", m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median = %v, want 2.5", m)
	}
}

func TestDescendants_FindChildrenAndNoticeTheirEnd(t *testing.T) {
	t.Parallel()
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	all, err := descendants(os.Getpid())
	if err != nil || !slices.Contains(all, child.Process.Pid) || !alive(child.Process.Pid) {
		t.Errorf("descendants are %v, %v, want %d among them", all, err, child.Process.Pid)
	}
	if m, err := memoryOf(child.Process.Pid); err != nil || m.own <= 0 || m.all < m.own {
		t.Errorf("its memory: %+v, %v", m, err)
	}
	_ = stdin.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if alive(child.Process.Pid) {
		t.Error("it is alive after its end")
	}
}
