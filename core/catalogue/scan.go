package catalogue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mortise/core/fault"
	"mortise/core/manifest"
)

// Problem is a folder that cannot be used as a module.
type Problem struct {
	Dir    string `json:"dir"`
	ID     string `json:"id"`     // the folder's name
	Reason string `json:"reason"` // may have several lines
	Remedy string `json:"remedy"`
}

type scanned struct {
	modules  map[string]*Module
	problems []Problem
}

const maxHelp = 256 << 10 // bytes

// scan looks one level deep: dir/<id>/module.yaml. Names that start with a dot and folders without a module.yaml are none of its
// business. known tells whether the site has a row of that id.
func scan(dirs []string, known func(id string) bool) scanned {
	s := scanned{modules: map[string]*Module{}}
	for _, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			abs = dir
		}
		s.folder(abs)
	}
	s.refusePrefixes(known)
	return s
}

func (s *scanned) add(dir, id, reason, remedy string) {
	s.problems = append(s.problems, Problem{Dir: dir, ID: id, Reason: reason, Remedy: remedy})
}

func (s *scanned) folder(dir string) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.add(dir, "", fmt.Sprintf("The folder cannot be read: %v.", err), "Give the host the right to read it.")
		return
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		s.add(dir, "", fmt.Sprintf("The folder cannot be read: %v.", err), "Give the host the right to read it.")
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		s.module(dir, root, e)
	}
}

func (s *scanned) module(dir string, root *os.Root, e fs.DirEntry) {
	id, full := e.Name(), filepath.Join(dir, e.Name())
	folder, err := root.OpenRoot(id) // refuses a link that leads out of dir
	if err != nil {
		if e.Type()&fs.ModeSymlink != 0 {
			if info, err := os.Stat(full); err == nil && !info.IsDir() {
				return // a link to a file
			}
			s.add(full, id, "It is a link that leads out of the plugin folder.", "Put the module itself there.")
			return
		}
		s.add(full, id, fmt.Sprintf("It cannot be read: %v.", err), "Give the host the right to read it.")
		return
	}
	defer folder.Close()
	text, err := readLimited(folder, "module.yaml", manifest.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.add(full, id, fmt.Sprintf("module.yaml cannot be read: %v.", err), "Make it a readable file inside the module's folder.")
		return
	}
	m, err := manifest.Parse(text)
	if err != nil {
		reason, ok := fault.Visible(err)
		if !ok {
			reason = err.Error()
		}
		s.add(full, id, reason, "Correct module.yaml, then look for modules again.")
		return
	}
	if m.ID != id {
		s.add(full, id, fmt.Sprintf("The manifest says id %s, but the folder is called %s.", m.ID, id), "Give the folder the name of the id.")
		return
	}
	if other := s.modules[id]; other != nil {
		s.add(full, id, "The module is in "+other.Dir+" already.", "Remove one of the two folders.")
		return
	}
	help, err := readLimited(folder, "help.md", maxHelp)
	if err != nil {
		help = nil // a module without help, or with too much of it
	}
	source := hasSources(folder)
	s.modules[id] = &Module{Manifest: m, Dir: full, Digest: m.Digest(), HelpText: string(help), Source: source, Program: programOf(full, id, source)}
}

// programOf is bin/<id> in a source tree, where core/build puts it, and <id> in a folder that was made for installing.
func programOf(dir, id string, source bool) string {
	built, packed := filepath.Join(dir, "bin", id), filepath.Join(dir, id)
	if source {
		return built
	}
	if _, err := os.Stat(packed); err == nil {
		return packed
	}
	if _, err := os.Stat(built); err == nil {
		return built
	}
	return packed
}

func hasSources(folder *os.Root) bool {
	names, err := fs.Glob(folder.FS(), "*.go")
	return err == nil && len(names) > 0
}

func readLimited(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}

// refusePrefixes keeps a module from getting another one's tables: those of "shop" start with "shop_", and so would those of
// "shop_extra". The one that the site knows stays; of two new ones the shorter.
func (s *scanned) refusePrefixes(known func(id string) bool) {
	ids := make([]string, 0, len(s.modules))
	for id := range s.modules {
		ids = append(ids, id)
	}
	slices.Sort(ids) // the shorter of a pair comes first
	for _, short := range ids {
		for _, long := range ids {
			if !strings.HasPrefix(long, short+"_") || s.modules[short] == nil || s.modules[long] == nil {
				continue
			}
			loser, winner := long, short
			if known(long) && !known(short) {
				loser, winner = short, long
			}
			s.add(s.modules[loser].Dir, loser, fmt.Sprintf("Its tables could not be told from those of the module %s, because one id is the other with an underscore.", winner), "Choose another id.")
			delete(s.modules, loser)
		}
	}
}

// confined is a folder below dir, out of which no path and no link leads. It holds nothing open between calls.
type confined struct{ dir, sub string }

// Open opens a file for reading.
func (c confined) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if c.dir == "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() // what was opened in it stays open
	return root.FS().Open(path.Join(c.sub, name))
}
