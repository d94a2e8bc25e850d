package secret

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// Reseal seals again what a package keeps outside of core_secrets: it passes each sealed value with its place to again, and writes what
// comes back.
type Reseal func(tx *gorm.DB, again func(module, name, key, sealed string) (string, error)) error

// Rotation is what a rotation did.
type Rotation struct {
	Values int    `json:"values"` // sealed anew
	Key    string `json:"key_id"`
}

// Rotate makes a new key and seals everything with it, in one transaction. The key file holds both keys until that is
// committed, so that a crash at any point leaves a store that opens. Where the key comes from the environment the host cannot replace
// it: there, start with the new MORTISE_KEY and the old one in MORTISE_PREVIOUS_KEYS, and Rotate seals everything with the new.
func (v *Vault) Rotate(ctx context.Context, more ...Reseal) (Rotation, error) {
	v.rotating.Lock()
	defer v.rotating.Unlock()
	old := v.ring.Load()
	next, both, err := v.nextRing(old)
	if err != nil {
		return Rotation{}, err
	}
	result := Rotation{Key: next.id}
	again := func(module, name, key, sealed string) (string, error) {
		value, err := next.unseal(module, name, key, sealed)
		if err != nil {
			return "", fmt.Errorf("seal %s of %s anew: %w", name, module, err)
		}
		result.Values++
		return next.seal(module, name, key, value), nil
	}
	err = v.store.Write(ctx, func(tx *gorm.DB) error {
		if err := resealRows(tx, again); err != nil {
			return err
		}
		for _, reseal := range more {
			if err := reseal(tx, again); err != nil {
				return err
			}
		}
		// Within the transaction, so that whoever writes next, by SetTx for example, seals with the new key.
		v.ring.Store(next)
		return nil
	})
	if err != nil {
		// The key file keeps the new key as a second one, for what was sealed with it meanwhile; it goes with the next rotation.
		v.ring.Store(both)
		return Rotation{}, err
	}
	v.o.Log.Warn("key rotated", "key_id", next.id, "values", result.Values)
	if v.o.Key == "" {
		if err := writeKeyFile(v.o.File, false, next.raw); err != nil {
			return result, fmt.Errorf("everything is sealed with the new key, but the old one could not be taken out of the key file (%s); it does no harm there: %w", old.id, err)
		}
		alone, err := newKeyring(next.raw)
		if err != nil {
			return result, err
		}
		v.ring.Store(alone)
		v.loose = false
	}
	return result, nil
}

// nextRing gives the keyring to seal with, a new key first, and the one to go back to. A key from the environment cannot be replaced
// by the host; then both are the present one.
func (v *Vault) nextRing(old *keyring) (next, both *keyring, err error) {
	if v.o.Key != "" {
		if len(old.aead) == 1 {
			return nil, nil, fault.New(fault.Conflict, "The key comes from the environment. Set MORTISE_KEY to a new one and MORTISE_PREVIOUS_KEYS to the present one, and start again; then rotate.")
		}
		return old, old, nil
	}
	keys, _, found, err := readKeyFile(v.o.File)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fault.New(fault.Conflict, "The key file is gone. Put it back first.")
	}
	fresh := newKey()
	// The old key stays first until the store has been rewritten; at any moment the file opens what the store holds.
	if err := writeKeyFile(v.o.File, false, append(slices.Clone(keys), fresh)...); err != nil {
		return nil, nil, err
	}
	for _, text := range v.o.PreviousKeys {
		key, err := parseKey(text)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	if both, err = newKeyring(append(slices.Clone(keys), fresh)...); err != nil {
		return nil, nil, err
	}
	next, err = newKeyring(append([][]byte{fresh}, keys...)...)
	return next, both, err
}

func resealRows(tx *gorm.DB, again func(module, name, key, sealed string) (string, error)) error {
	var rows []secretRow
	if err := tx.Find(&rows).Error; err != nil {
		return fmt.Errorf("read the secrets: %w", err)
	}
	for _, r := range rows {
		sealed, err := again(r.Owner, r.Name, r.Key, r.Sealed)
		if err != nil {
			return err
		}
		if err := tx.Exec("UPDATE core_secrets SET sealed = ? WHERE owner = ? AND name = ? AND key = ?", sealed, r.Owner, r.Name, r.Key).Error; err != nil {
			return fmt.Errorf("write a secret: %w", err)
		}
	}
	return nil
}
