package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readKeyFile reads the keys of a file, the sealing one first; found is false when there is no such file. loose tells whether others than
// its owner may read it.
func readKeyFile(path string) (keys [][]byte, loose, found bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, false, nil
	}
	if err != nil {
		return nil, false, false, fmt.Errorf("read the key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, true, fmt.Errorf("read the key file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, false, true, fmt.Errorf("read the key file: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			return nil, false, true, fmt.Errorf("key file %s: %w", path, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, false, true, fmt.Errorf("key file %s holds no key", path)
	}
	return keys, info.Mode().Perm()&0o077 != 0, true, nil
}

// writeKeyFile writes the keys so that the file is whole at any time, also after a power cut. With fresh it never replaces a file.
func writeKeyFile(path string, fresh bool, keys ...[]byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when the rename succeeded
	text := "# The key of this site: it opens the sealed values in the store. Keep it apart from backups of the store.\n"
	for _, k := range keys {
		text += base64.StdEncoding.EncodeToString(k) + "\n"
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	if fresh {
		err = os.Link(f.Name(), path) // fails when there is one
	} else {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
