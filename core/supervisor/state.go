package supervisor

// State is where a module stands.
type State string

// The states.
const (
	Available    State = "available"    // on disk, never enabled
	Staged       State = "staged"       // a version waits beside the one that runs
	Starting     State = "starting"     // its process is being brought up
	Running      State = "running"      // it answers
	Draining     State = "draining"     // it gets no new work and finishes what it has
	Stopped      State = "stopped"      // wanted, but not running: the host is stopping, or its files are missing
	Paused       State = "paused"       // by an administrator
	Backoff      State = "backoff"      // it ended by itself and will be started again
	Quarantined  State = "quarantined"  // it ended too often
	Incompatible State = "incompatible" // it speaks another version of the contract
	Removed      State = "removed"      // its data may be kept
)

// States are all of them, in the order of a life.
var States = [...]State{Available, Staged, Starting, Running, Draining, Stopped, Paused, Backoff, Quarantined, Incompatible, Removed}

// Event is something that changes a state.
type Event string

// The events.
const (
	evBegin        Event = "begin"        // the process is going to be started
	evReady        Event = "ready"        // all steps are done
	evFail         Event = "fail"         // an automatic start failed and will be tried again
	evMissing      Event = "missing"      // there is nothing that could be started, or the start was interrupted
	evIncompatible Event = "incompatible" // it speaks another version of the contract
	evExit         Event = "exit"         // the process ended by itself
	evExhaust      Event = "exhaust"      // it did so too often
	evDrain        Event = "drain"        // it is going to be stopped
	evPause        Event = "pause"        // an administrator paused it
	evStop         Event = "stop"         // the host is stopping
	evRemove       Event = "remove"       // an administrator removed it
)

// evAbandon is a start by an administrator that failed: the module is again what it was.
func evAbandon(origin State) Event { return "abandon to " + Event(origin) }

// Where the machine begins: what a row of the catalogue says.
var initial = map[Desired]State{"": Available, DesiredEnabled: Stopped, DesiredPaused: Paused, DesiredQuarantined: Quarantined, DesiredRemoved: Removed}

// transitions are all changes that there are. What is not here does not happen.
var transitions = map[State]map[Event]State{
	Available: {evBegin: Starting, evRemove: Removed},
	Staged:    {evBegin: Starting, evRemove: Removed},
	Starting: {
		evReady: Running, evFail: Backoff, evMissing: Stopped, evIncompatible: Incompatible, evExhaust: Quarantined,
		evAbandon(Available): Available, evAbandon(Staged): Staged, evAbandon(Stopped): Stopped, evAbandon(Paused): Paused,
		evAbandon(Backoff): Backoff, evAbandon(Quarantined): Quarantined, evAbandon(Incompatible): Incompatible, evAbandon(Removed): Removed,
	},
	Running:      {evExit: Backoff, evExhaust: Quarantined, evDrain: Draining},
	Draining:     {evPause: Paused, evStop: Stopped, evRemove: Removed, evBegin: Starting},
	Stopped:      {evBegin: Starting, evPause: Paused, evRemove: Removed},
	Paused:       {evBegin: Starting, evRemove: Removed},
	Backoff:      {evBegin: Starting, evPause: Paused, evStop: Stopped, evRemove: Removed},
	Quarantined:  {evBegin: Starting, evPause: Paused, evRemove: Removed},
	Incompatible: {evBegin: Starting, evPause: Paused, evRemove: Removed},
	Removed:      {evBegin: Starting},
}

// next gives the state that follows; false when the event cannot happen in this state.
func next(s State, e Event) (State, bool) {
	to, ok := transitions[s][e]
	return to, ok
}

// on tells whether the state belongs to a module that is meant to run.
func (s State) on() bool {
	switch s {
	case Starting, Running, Draining, Stopped, Backoff:
		return true
	}
	return false
}
