package handover

import (
	"strings"
	"testing"

	"mortise/core/fault"
)

func TestReadKey_UnderstandsWhatPeopleTypeAndScan(t *testing.T) {
	t.Parallel()
	const want = key("01AB1CDEFGH0KMNP")
	for _, typed := range []string{
		"01AB-1CDE-FGH0-KMNP", "01ab 1cde fgh0 kmnp", "  o1ab-lcde-fghO-kmnp\n", "OIABICDEFGHOKMNP", "01AB–1CDE—FGH0‑KMNP", "01AB.1CDE.FGH0_KMNP",
		"https://site.example/customers/claim?key=01AB-1CDE-FGH0-KMNP", "https://site.example/customers/claim?key=01AB1CDEFGH0KMNP&x=1",
	} {
		if got, err := readKey(typed); err != nil || got != want {
			t.Errorf("%q was read as %q, %v", typed, string(got), err)
		}
	}
}

func TestReadKey_RefusesWhatCannotBeAKeyAndDoesNotRepeatIt(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"", "-", "01AB-1CDE-FGH0-KMN", "01AB-1CDE-FGH0-KMNPQ", "01AB-1CDE-FGH0-KMNU", "01AB-1CDE-FGH0-KMN*", strings.Repeat("A", 501), "\xff"} {
		_, err := readKey(typed)
		if !fault.Is(err, fault.Invalid) || fault.FieldsOf(err)["key"] == "" {
			t.Errorf("%q gave %v", typed, err)
		} else if len(typed) > 3 && strings.Contains(err.Error(), typed) {
			t.Errorf("the error repeats %q", typed)
		}
	}
}

func TestNewKey_IsReadBackFromItsGroupsAndNeverTheSame(t *testing.T) {
	t.Parallel()
	seen := map[key]bool{}
	for range 2000 {
		k := newKey()
		if back, err := readKey(k.String()); err != nil || back != k || len(k.String()) != 19 || seen[k] {
			t.Fatalf("%q was read back as %q, %v", k, string(back), err)
		}
		seen[k] = true
	}
}

func FuzzReadKey(f *testing.F) {
	for _, s := range []string{"01AB-1CDE-FGH0-KMNP", "key=", "ſſſſſſſſſſſſſſſſ", "ıııııııııııııııı", "o"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		k, err := readKey(typed)
		if err != nil {
			if k != "" || !fault.Is(err, fault.Invalid) {
				t.Errorf("%q gave %q and %v", typed, string(k), err)
			}
			return
		}
		if again, err := readKey(k.String()); len(k) != keyLength || err != nil || again != k {
			t.Errorf("%q was read as %q and then as %q, %v", typed, string(k), string(again), err)
		}
	})
}
