package tunnel_test

import (
	"encoding/json"
	"errors"
	"testing"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/tunnel"
)

func TestError_IsRecognisedByGORMAndByFault(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]error{2067: gorm.ErrDuplicatedKey, 1555: gorm.ErrDuplicatedKey, 787: gorm.ErrForeignKeyViolated} {
		if err := (sqlite.Dialector{}).Translate(&tunnel.Error{Code: 19, ExtendedCode: code}); !errors.Is(err, want) {
			t.Errorf("%d: got %v", code, err)
		}
	}
	if _, err := json.Marshal(&tunnel.Error{}); err != nil {
		t.Error(err) // GORM goes by the JSON
	}
	err := &tunnel.Error{Kind: "timeout", Message: "too long"}
	if !fault.Is(err, fault.Timeout) {
		t.Error("the kind is lost")
	}
	if m, ok := fault.Visible(&tunnel.Error{Message: "no such table: x"}); ok {
		t.Errorf("a visitor would read %q", m)
	}
}
