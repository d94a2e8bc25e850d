package catalogue_test

import (
	"testing"

	"mortise/core/catalogue"
	"mortise/core/store"
)

// writingSealer notes whether the host holds the turn to write, so that no rotation of the key can come in between.
type writingSealer struct {
	sealer
	store   *store.Store
	outside *int
}

func (w writingSealer) Seal(module, name, key, value string) (string, error) {
	if !w.store.HoldsWriter("host") {
		*w.outside++
	}
	return w.sealer.Seal(module, name, key, value)
}

func TestSaveSettings_SealsWithinTheTransaction(t *testing.T) {
	t.Parallel()
	outside := 0
	s := newSite(t, nil, linking)
	s.open(func(o *catalogue.Options) { o.Sealer = writingSealer{store: s.store, outside: &outside} })
	s.save(map[string]any{"client_secret": "shh", "webhook": "hook"})
	if outside > 0 {
		t.Errorf("%d values were sealed outside of the transaction that writes them", outside)
	}
	if v, err := s.Settings(t.Context(), "linking"); err != nil || v.String("client_secret") != "shh" {
		t.Errorf("settings: %v, %v", v, err)
	}
}
