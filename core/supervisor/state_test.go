package supervisor

import (
	"strings"
	"testing"
)

// everyEvent lists all events, those of a failed start once for each origin.
func everyEvent() []Event {
	events := []Event{evBegin, evReady, evFail, evMissing, evIncompatible, evExit, evExhaust, evDrain, evPause, evStop, evRemove}
	for _, s := range States {
		events = append(events, evAbandon(s))
	}
	return events
}

// The table by hand, a second time: state, event, state. A change of the machine has to be made in both places.
const wanted = `
available begin starting
available remove removed
staged begin starting
staged remove removed
starting ready running
starting fail backoff
starting missing stopped
starting incompatible incompatible
starting exhaust quarantined
running exit backoff
running exhaust quarantined
running drain draining
draining pause paused
draining stop stopped
draining remove removed
draining begin starting
stopped begin starting
stopped pause paused
stopped remove removed
paused begin starting
paused remove removed
backoff begin starting
backoff pause paused
backoff remove removed
backoff stop stopped
quarantined begin starting
quarantined pause paused
quarantined remove removed
incompatible begin starting
incompatible pause paused
incompatible remove removed
removed begin starting
`

func TestState_EveryPairOfStateAndEventIsDecided(t *testing.T) {
	t.Parallel()
	want := parseTable(t)
	for _, s := range States {
		for _, e := range everyEvent() {
			to, ok := next(s, e)
			expected, allowed := want[[2]string{string(s), string(e)}]
			if s == Starting {
				for _, origin := range States {
					if e == evAbandon(origin) && origin != Starting && origin != Running && origin != Draining {
						expected, allowed = string(origin), true
					}
				}
			}
			if ok != allowed || (ok && string(to) != expected) {
				t.Errorf("%s + %s = %q, %v; want %q, %v", s, e, to, ok, expected, allowed)
			}
		}
	}
}

func TestState_EveryStateCanBeReachedAndLeft(t *testing.T) {
	t.Parallel()
	reached := map[State]bool{Staged: true} // an upgrade puts a module there
	for _, s := range initial {
		reached[s] = true
	}
	for from, events := range transitions {
		if len(events) == 0 {
			t.Errorf("%s cannot be left", from)
		}
		for _, to := range events {
			reached[to] = true
		}
	}
	for _, s := range States {
		if !reached[s] {
			t.Errorf("%s cannot be reached", s)
		}
	}
}

func TestState_AnAdministratorCanAlwaysPauseOrRemoveWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, s := range []State{Draining, Stopped, Backoff, Quarantined, Incompatible} {
		for _, e := range []Event{evPause, evRemove} {
			if _, ok := next(s, e); !ok {
				t.Errorf("%s does not take %s", s, e)
			}
		}
	}
}

func parseTable(t *testing.T) map[[2]string]string {
	t.Helper()
	table := map[[2]string]string{}
	for line := range strings.Lines(strings.TrimSpace(wanted)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("line %q: expected three words", line)
		}
		table[[2]string{f[0], f[1]}] = f[2]
	}
	return table
}
