package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"mortise/core/fault"
)

func TestFault_KeepsItsKindThroughWrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("load customer 7: %w", fault.New(fault.NotFound, "no customer %d", 7))
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("kind = %v, want not_found", fault.KindOf(err))
	}
	if message, ok := fault.Visible(err); !ok || message != "no customer 7" {
		t.Errorf("visible = %q, %v; want the fault's own sentence", message, ok)
	}
}

func TestFault_HidesWhatNobodyClassified(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("open /etc/x: denied"), fault.Wrap(fault.Internal, errors.New("secret"), "broken")} {
		if message, ok := fault.Visible(err); ok {
			t.Errorf("visible = %q, want nothing for the visitor", message)
		}
	}
}

func TestKind_NamesAndStatusesCoverEveryKind(t *testing.T) {
	t.Parallel()
	for k := fault.Internal; k <= fault.Timeout; k++ {
		if got := fault.ParseKind(k.String()); got != k {
			t.Errorf("ParseKind(%q) = %v", k.String(), got)
		}
		if k.Status() < 400 || k.Status() > 599 {
			t.Errorf("%v has status %d", k, k.Status())
		}
	}
}
