package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
	"mortise/core/store"
)

// Limits of what is kept.
const (
	MaxValue = 64 << 10 // bytes of a value
	maxPart  = 200      // bytes of an owner, name or key
)

// The place of the check value.
const (
	hostOwner  = "host"
	checkName  = "key_check"
	checkValue = "this key fits this store"
)

// Options say where the key is.
type Options struct {
	File         string   // the key file; made at the first start
	Key          string   // the key itself, from the environment: base64 or hexadecimal; then File is not used
	PreviousKeys []string // further keys that still open
	Log          *slog.Logger
	Now          func() time.Time // the clock when nil
	// OtherSealed tells whether anything outside of core_secrets is sealed. It keeps a lost key from being replaced without a word. nil: nothing is.
	OtherSealed func(ctx context.Context) (bool, error)
}

// Vault seals, opens and keeps values. It is safe for concurrent use.
type Vault struct {
	store *store.Store
	o     Options
	loose bool

	ring     atomic.Pointer[keyring]
	rotating sync.Mutex
}

type secretRow struct {
	Owner     string `gorm:"primaryKey"`
	Name      string `gorm:"primaryKey"`
	Key       string `gorm:"primaryKey"`
	Sealed    string
	UpdatedAt time.Time
}

func (secretRow) TableName() string { return "core_secrets" }

// Open loads the key, or makes one when nothing is sealed yet, and proves that it fits the store. The error of a missing or wrong
// key says what to do.
func Open(ctx context.Context, st *store.Store, o Options) (*Vault, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &Vault{store: st, o: o}
	keys, made, err := v.loadKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, text := range o.PreviousKeys {
		key, err := parseKey(text)
		if err != nil {
			return nil, fmt.Errorf("a previous key: %w", err)
		}
		keys = append(keys, key)
	}
	ring, err := newKeyring(keys...)
	if err != nil {
		return nil, err
	}
	v.ring.Store(ring)
	if made {
		err = v.writeCheck(ctx)
	} else {
		err = v.Check(ctx)
	}
	if err != nil {
		return nil, err
	}
	if v.loose {
		o.Log.Warn("the key file can be read by other users of this machine", "path", o.File, "remedy", "chmod 600")
	}
	return v, nil
}

func (v *Vault) loadKeys(ctx context.Context) (keys [][]byte, made bool, err error) {
	if v.o.Key != "" {
		key, err := parseKey(v.o.Key)
		if err != nil {
			return nil, false, fmt.Errorf("the key in the environment: %w", err)
		}
		return [][]byte{key}, false, nil
	}
	if v.o.File == "" {
		return nil, false, errors.New("neither a key nor a key file is set")
	}
	keys, loose, found, err := readKeyFile(v.o.File)
	if err != nil {
		return nil, false, err
	}
	if found {
		v.loose = loose
		return keys, false, nil
	}
	sealed, err := v.anySealed(ctx)
	if err != nil {
		return nil, false, err
	}
	if sealed {
		return nil, false, fmt.Errorf("the key file %s is missing, but the store holds values that were sealed with it: put the file back from where you keep it, "+
			"or set MORTISE_KEY; if the key is lost for good, the sealed values are too: delete the rows of core_secrets and the secret settings of the modules, and enter them anew", v.o.File)
	}
	key := newKey()
	if err := writeKeyFile(v.o.File, true, key); err != nil {
		return nil, false, err
	}
	v.o.Log.Info("key file made; keep a copy apart from backups of the store", "path", v.o.File, "key_id", keyID(key))
	return [][]byte{key}, true, nil
}

// anySealed tells whether anything but the check value is sealed.
func (v *Vault) anySealed(ctx context.Context) (bool, error) {
	var n int64
	err := v.store.Read(ctx).Model(&secretRow{}).Where("NOT (owner = ? AND name = ?)", hostOwner, checkName).Count(&n).Error
	if err != nil {
		return false, fmt.Errorf("look for sealed values: %w", err)
	}
	if n > 0 || v.o.OtherSealed == nil {
		return n > 0, nil
	}
	return v.o.OtherSealed(ctx)
}

// Check proves that the key opens what the store holds.
func (v *Vault) Check(ctx context.Context) error {
	got, err := v.Get(ctx, hostOwner, checkName, "")
	switch {
	case fault.Is(err, fault.NotFound):
		// The first start with a given key, or one that ended before it could write the check value.
		return v.writeCheck(ctx)
	case errors.Is(err, ErrKey):
		return fmt.Errorf("the key does not fit this store, which was sealed with another one: put back its key file %s or MORTISE_KEY, "+
			"or add the earlier key to MORTISE_PREVIOUS_KEYS: %w", v.o.File, err)
	case err != nil:
		return fmt.Errorf("check the key: %w", err)
	case got != checkValue:
		return errors.New("check the key: the check value in the store is not ours")
	}
	return nil
}

func (v *Vault) writeCheck(ctx context.Context) error {
	return v.Set(ctx, hostOwner, checkName, "", checkValue)
}

func checkPlace(owner, name, key string) error {
	for _, part := range []string{owner, name, key} {
		if len(part) > maxPart || !utf8.ValidString(part) {
			return fault.New(fault.Invalid, "The owner, name and key of a secret have at most %d bytes of text.", maxPart)
		}
	}
	if owner == "" || name == "" {
		return fault.New(fault.Invalid, "A secret needs an owner and a name.")
	}
	return nil
}

// Seal seals a value for one place. It opens only with the same module, name and key. At most MaxValue bytes. Seal within the
// transaction that writes the value: in between, a rotation could retire the key.
func (v *Vault) Seal(module, name, key, value string) (string, error) {
	if err := checkPlace(module, name, key); err != nil {
		return "", err
	}
	if len(value) > MaxValue {
		return "", fault.New(fault.TooLarge, "A secret can have at most %d KiB.", MaxValue>>10)
	}
	return v.ring.Load().seal(module, name, key, value), nil
}

// Unseal opens what Seal made. Errors: ErrForm, ErrKey, ErrOpen.
func (v *Vault) Unseal(module, name, key, sealed string) (string, error) {
	return v.ring.Load().unseal(module, name, key, sealed)
}

// Get opens a kept value; fault.NotFound when there is none.
func (v *Vault) Get(ctx context.Context, module, name, key string) (string, error) {
	if err := checkPlace(module, name, key); err != nil {
		return "", err
	}
	var rows []secretRow
	err := v.store.Read(ctx).Where("owner = ? AND name = ? AND key = ?", module, name, key).Limit(1).Find(&rows).Error
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	if len(rows) == 0 {
		return "", fault.New(fault.NotFound, "There is no such secret.")
	}
	value, err := v.Unseal(module, name, key, rows[0].Sealed)
	if err != nil {
		return "", fmt.Errorf("open secret %s of %s: %w", name, module, err)
	}
	return value, nil
}

// Set keeps a value, in the module's own turn to write.
func (v *Vault) Set(ctx context.Context, module, name, key, value string) error {
	return v.store.WriteFor(ctx, module, func(tx *gorm.DB) error { return v.set(tx, module, name, key, value) })
}

// SetTx is Set within a transaction of the caller.
func (v *Vault) SetTx(tx *gorm.DB, module, name, key, value string) error {
	return v.set(tx, module, name, key, value)
}

func (v *Vault) set(tx *gorm.DB, module, name, key, value string) error {
	sealed, err := v.Seal(module, name, key, value)
	if err != nil {
		return err
	}
	row := secretRow{Owner: module, Name: name, Key: key, Sealed: sealed, UpdatedAt: v.o.Now().UTC()}
	err = tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("keep a secret: %w", err)
	}
	return nil
}

// Delete forgets a value; nil when there was none.
func (v *Vault) Delete(ctx context.Context, module, name, key string) error {
	return v.store.WriteFor(ctx, module, func(tx *gorm.DB) error {
		if err := tx.Where("owner = ? AND name = ? AND key = ?", module, name, key).Delete(&secretRow{}).Error; err != nil {
			return fmt.Errorf("forget a secret: %w", err)
		}
		return nil
	})
}

// DeleteAll forgets all values of a module and tells how many there were.
func (v *Vault) DeleteAll(ctx context.Context, module string) (n int64, err error) {
	err = v.store.Write(ctx, func(tx *gorm.DB) error {
		done := tx.Where("owner = ?", module).Delete(&secretRow{})
		n = done.RowsAffected
		return done.Error
	})
	if err != nil {
		return 0, fmt.Errorf("forget the secrets of %s: %w", module, err)
	}
	return n, nil
}

// Count tells how many values a module keeps.
func (v *Vault) Count(ctx context.Context, module string) (n int64, err error) {
	if err := v.store.Read(ctx).Model(&secretRow{}).Where("owner = ?", module).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count the secrets of %s: %w", module, err)
	}
	return n, nil
}

// Status is for the status page.
type Status struct {
	KeyID    string `json:"key_id"`
	Source   string `json:"source"` // "file" or "environment"
	Path     string `json:"path"`
	Previous int    `json:"previous"` // how many retired keys still open
	Loose    bool   `json:"loose"`    // the key file can be read by others
}

// Status tells which key is in use.
func (v *Vault) Status() Status {
	ring := v.ring.Load()
	s := Status{KeyID: ring.id, Source: "file", Path: v.o.File, Previous: len(ring.aead) - 1, Loose: v.loose}
	if v.o.Key != "" {
		s.Source, s.Path = "environment", ""
	}
	return s
}
