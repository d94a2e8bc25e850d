package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"mortise/core/fault"
)

// maxBody bounds a request on the socket, in bytes.
const maxBody = 64 << 10

// SocketPath is where a host with this data folder listens for its operator.
func SocketPath(dataDir string) string { return filepath.Join(dataDir, "run", "control.sock") }

// Server serves Operations on the admin socket.
type Server struct {
	http *http.Server
	path string
	link string
}

// Listen opens the socket and serves until Close. A path that is too long for a socket (about 100 bytes) is reached through a
// short one in the temporary folder: the file at path then holds that address.
func Listen(path string, operations Operations) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the admin socket: %w", err)
	}
	s := &Server{path: path, http: &http.Server{Handler: Handler(operations), ReadHeaderTimeout: 5 * time.Second}}
	_ = os.Remove(path) // left by a host that was killed; the data folder's lock says that none runs
	address := path
	if len(path) > 100 {
		folder, err := os.MkdirTemp("", "mortise-control-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for the admin socket: %w", err)
		}
		s.link, address = folder, filepath.Join(folder, "control.sock")
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Chmod(address, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("close the admin socket to others: %w", err)
	}
	if s.link != "" {
		if err := os.Symlink(address, path); err != nil {
			_ = listener.Close()
			return nil, fmt.Errorf("point to the admin socket: %w", err)
		}
	}
	go func() { _ = s.http.Serve(listener) }() // ends with Close
	return s, nil
}

// Close stops serving and removes the socket.
func (s *Server) Close() error {
	err := s.http.Close()
	_ = os.Remove(s.path)
	if s.link != "" {
		_ = os.RemoveAll(s.link)
	}
	return err
}

// Handler answers the socket's requests.
func Handler(o Operations) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(func(ctx context.Context, _ *http.Request) (any, error) { return o.Status(ctx) }))
	mux.HandleFunc("GET /modules", answer(func(ctx context.Context, _ *http.Request) (any, error) { return o.Modules(ctx) }))
	mux.HandleFunc("GET /modules/{id}", answer(func(ctx context.Context, r *http.Request) (any, error) {
		return o.Module(ctx, r.PathValue("id"))
	}))
	mux.HandleFunc("POST /modules/{id}/{action}", answer(func(ctx context.Context, r *http.Request) (any, error) {
		var options ActOptions
		if err := decode(r, &options); err != nil {
			return nil, err
		}
		return o.Act(ctx, r.PathValue("id"), Action(r.PathValue("action")), options)
	}))
	mux.HandleFunc("GET /users", answer(func(ctx context.Context, r *http.Request) (any, error) {
		return o.Users(ctx, r.URL.Query().Get("search"))
	}))
	mux.HandleFunc("POST /users", answer(func(ctx context.Context, r *http.Request) (any, error) {
		var user NewUser
		if err := decode(r, &user); err != nil {
			return nil, err
		}
		return o.CreateUser(ctx, user)
	}))
	mux.HandleFunc("POST /users/role", answer(func(ctx context.Context, r *http.Request) (any, error) {
		var in roleChange
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		return o.SetRole(ctx, in.Email, in.Role, in.Give)
	}))
	mux.HandleFunc("POST /users/login-link", answer(func(ctx context.Context, r *http.Request) (any, error) {
		var in loginLink
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		address, err := o.LoginLink(ctx, in.Email)
		return loginLink{Email: in.Email, URL: address}, err
	}))
	mux.HandleFunc("POST /backup", answer(func(ctx context.Context, r *http.Request) (any, error) {
		var in backup
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		return in, o.Backup(ctx, in.Path)
	}))
	mux.HandleFunc("POST /rotate-key", answer(func(ctx context.Context, _ *http.Request) (any, error) {
		sealed, err := o.RotateKey(ctx)
		return rotation{Sealed: sealed}, err
	}))
	return mux
}

type (
	roleChange struct {
		Email string `json:"email"`
		Role  string `json:"role"`
		Give  bool   `json:"give"`
	}
	loginLink struct {
		Email string `json:"email"`
		URL   string `json:"url,omitempty"`
	}
	backup struct {
		Path string `json:"path"`
	}
	rotation struct {
		Sealed int `json:"sealed"`
	}
	problem struct {
		Kind    string            `json:"kind"`
		Message string            `json:"message"`
		Fields  map[string]string `json:"fields,omitempty"`
	}
)

func decode(r *http.Request, into any) error {
	err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(into)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "expected JSON: %v", err)
	}
	return nil
}

func answer(do func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := do(r.Context(), r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			// The operator reads everything: whoever can open the socket can read the log too.
			w.WriteHeader(fault.KindOf(err).Status())
			_ = json.NewEncoder(w).Encode(problem{Kind: fault.KindOf(err).String(), Message: err.Error(), Fields: fault.FieldsOf(err)})
			return
		}
		_ = json.NewEncoder(w).Encode(result)
	}
}
