package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

const (
	opLimit      = 40 * time.Second // for the calls of one operation
	handOverTime = 10 * time.Minute // for which a secret is kept
	maxTries     = 30               // of resuming, with growing pauses: about a day
	keepFor      = 365 * 24 * time.Hour
)

// newOnce is a form's own word: the operation that it leads to is found by it when the form comes twice.
func newOnce() string { return rand.Text() }

var onceShape = regexp.MustCompile(`^[A-Z2-7]{20,40}$`)

// begin records an operation before anything happens. With the same form once more, the operation that exists is returned.
func (m *Organizations) begin(ctx context.Context, r *http.Request, op *operation, input any) (again *operation, err error) {
	if op.Once = r.PostFormValue("once"); !onceShape.MatchString(op.Once) {
		return nil, fault.New(fault.Invalid, "The form is incomplete. Open the page again.")
	}
	if again, err = m.records.operationOf(ctx, op.Once); err != nil || again != nil {
		return again, err
	}
	text, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	user := sdk.UserFrom(r.Context())
	op.Input, op.State, op.UserID, op.UserName, op.StartedAt, op.NextAt = string(text), opRunning, user.UserID, user.Name, m.now(), m.now()
	op.Sentence = "Has begun."
	return nil, m.records.saveOperation(ctx, op)
}

// lock keeps two operations in one workspace apart, from the first record to the last: a list before and one after then tell
// what an operation has made, and nobody resumes what is being worked on.
func (m *Organizations) lock(workspaceID int64) (unlock func()) {
	lock, _ := m.changing.LoadOrStore(workspaceID, &sync.Mutex{})
	lock.(*sync.Mutex).Lock()
	return lock.(*sync.Mutex).Unlock
}

// end records what became of an operation.
func (m *Organizations) end(ctx context.Context, op *operation, state, sentence string) error {
	now := m.now()
	op.State, op.Sentence, op.EndedAt = state, sentence, &now
	return m.records.saveOperation(context.WithoutCancel(ctx), op)
}

// leave lets an operation be resumed by the job: its outcome is not known.
func (m *Organizations) leave(ctx context.Context, op *operation, sentence string) error {
	op.Tries++
	op.Sentence, op.NextAt = sentence, m.now().Add(min(time.Duration(op.Tries)*time.Duration(op.Tries)*10*time.Second, time.Hour))
	if op.Tries >= maxTries {
		now := m.now()
		op.State, op.EndedAt = opUnclear, &now
	}
	return m.records.saveOperation(context.WithoutCancel(ctx), op)
}

// resumeAll goes on with the operations that nobody works on, and erases secrets whose time is over.
func (m *Organizations) resumeAll(ctx context.Context) error {
	list, err := m.records.open(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if err := m.resumeOne(ctx, &list[i]); err != nil {
			return err
		}
	}
	return m.eraseSecrets(ctx)
}

// resumeOne reads the operation once more: it may have ended between the list and the lock.
func (m *Organizations) resumeOne(ctx context.Context, listed *operation) error {
	defer m.lock(listed.WorkspaceID)()
	op, err := m.records.operation(ctx, listed.ID)
	if err != nil || op.State != opRunning || op.NextAt.After(m.now()) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	w, err := m.records.workspace(ctx, op.WorkspaceID)
	if fault.Is(err, fault.NotFound) {
		return m.end(ctx, op, opUnclear, "Was cut short, and the workspace is gone. Look at Particle whether something is left over.")
	}
	if err != nil {
		return err
	}
	if op.Kind == opHandOver {
		return m.resumeHandOver(ctx, op)
	}
	a, t := m.access(ctx, w)
	if t != nil {
		return m.leave(ctx, op, "Was cut short. "+t.Sentence)
	}
	switch op.Kind {
	case opClientCreate:
		return m.resumeCreate(ctx, a, op)
	case opClientChange:
		return m.doChange(ctx, a, op)
	case opClientDelete:
		return m.doDelete(ctx, a, op)
	case opUserCreate, opUserRotate:
		return m.resumeUser(ctx, a, op)
	case opDeviceChange:
		return m.doDeviceChange(ctx, a, op)
	case opDeviceRemove:
		return m.doDeviceRemove(ctx, a, op)
	case opMemberInvite:
		return m.doInvite(ctx, a, op, true)
	case opMemberRemove:
		return m.doRemoveMember(ctx, a, op)
	}
	return m.end(ctx, op, opUnclear, "Was cut short; this version does not know the kind "+op.Kind+".")
}

// eraseSecrets erases what was not handed over in time.
func (m *Organizations) eraseSecrets(ctx context.Context) error {
	list, err := m.records.withSecret(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if op := &list[i]; m.now().After(*op.SecretUntil) {
			if err := m.eraseSecret(ctx, op); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Organizations) eraseSecret(ctx context.Context, op *operation) error {
	if err := m.host.Secrets().Delete(ctx, "handover", keyOf(op.ID)); err != nil {
		return err
	}
	op.SecretUntil = nil
	return m.records.saveOperation(ctx, op)
}

// Run does a job of the manifest.
func (m *Organizations) Run(ctx context.Context, job string) error {
	switch job {
	case "resume":
		return errors.Join(m.resumeAll(ctx), m.resumeImports(ctx))
	case "health":
		return m.examineAll(ctx)
	case "retention":
		return errors.Join(m.records.forget(ctx, keepFor), m.records.forgetImports(ctx, keepFor))
	}
	return fault.New(fault.NotFound, "There is no job %q.", job)
}

// operationView is an operation as pages and programs see it.
type operationView struct {
	ID          int64      `json:"id"`
	Kind        string     `json:"kind"`
	Title       string     `json:"title"`
	Workspace   string     `json:"workspace"`
	WorkspaceID int64      `json:"workspace_id"` // 0 on its own page: the workspace was removed since
	ProductID   string     `json:"product_id"`
	Subject     string     `json:"subject"`
	Name        string     `json:"name"`
	State       string     `json:"state"` // running, done, failed, undone, attention
	Sentence    string     `json:"sentence"`
	UserName    string     `json:"user_name"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	HandOver    bool       `json:"can_hand_over"`
	HandOverTo  string     `json:"hand_over_to"`    // what the button says
	HandOverWhy string     `json:"hand_over_offer"` // and why to press it
	SecretUntil *time.Time `json:"secret_until"`
	Path        string     `json:"path"`
	ImportPath  string     `json:"import_path"` // "" when it is no import
}

var opTitles = map[string]string{opClientCreate: "Create an OAuth client", opClientChange: "Change an OAuth client", opClientDelete: "Delete an OAuth client",
	opUserCreate: "Create an API user", opUserRotate: "Renew the workspace's token",
	opDeviceChange: "Change a device", opDeviceRemove: "Take a device out of its product", opDeviceImport: "Import devices",
	opMemberInvite: "Invite into a team", opMemberRemove: "Remove from a team",
	opHandOver: "Hand an OAuth client over"}

func (m *Organizations) viewOfOperation(op *operation) operationView {
	v := operationView{ID: op.ID, Kind: op.Kind, Title: opTitles[op.Kind], Workspace: op.Workspace, WorkspaceID: op.WorkspaceID, ProductID: op.ProductID, Subject: op.Subject,
		Name: op.Name, State: op.State, Sentence: op.Sentence, UserName: op.UserName, StartedAt: op.StartedAt, EndedAt: op.EndedAt,
		Path: "/admin/organizations/operations/" + keyOf(op.ID)}
	if op.Kind == opDeviceImport {
		v.Subject, v.ImportPath = "", importsPath(op.WorkspaceID)+"/"+pathEscape(op.Subject)
	}
	if op.Kind == opHandOver {
		_, to := takerIn(op)
		v.Title = to.title
	}
	if m.mayHandOver(op) {
		to := takerFor(op)
		v.HandOver, v.HandOverTo, v.HandOverWhy, v.SecretUntil = true, to.button, to.offer, op.SecretUntil
	}
	return v
}

func (m *Organizations) viewsOf(list []operation) []operationView {
	views := make([]operationView, 0, len(list))
	for i := range list {
		views = append(views, m.viewOfOperation(&list[i]))
	}
	return views
}

// listOperations lists what was changed at Particle: ?state=, ?workspace= a number, ?q= part of a name, id or person, ?page=.
func (m *Organizations) listOperations(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	state := query.Get("state")
	switch state {
	case opRunning, opDone, opFailed, opUndone, opUnclear:
	default:
		state = ""
	}
	workspaceID, _ := strconv.ParseInt(query.Get("workspace"), 10, 64)
	text, page := readable(query.Get("q"), 100), pageOf(r)
	list, total, err := m.records.operations(r.Context(), workspaceID, state, text, page, perPage)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Render(w, r, sdk.View{Template: "operations", Title: "Changes at Particle", Breadcrumbs: []sdk.Link{topCrumb}, Data: map[string]any{"operations": m.viewsOf(list), "state": state,
		"workspace": workspaceID, "q": text, "total": total, "page": page, "per_page": perPage}})
}

func (m *Organizations) operationOf(w http.ResponseWriter, r *http.Request) (*operation, bool) {
	id, err := strconv.ParseInt(r.PathValue("operation"), 10, 64)
	if err != nil || id <= 0 {
		sdk.Fail(w, r, fault.New(fault.NotFound, "There is no such operation."))
		return nil, false
	}
	op, err := m.records.operation(r.Context(), id)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return op, true
}

func (m *Organizations) showOperation(w http.ResponseWriter, r *http.Request) {
	op, ok := m.operationOf(w, r)
	if !ok {
		return
	}
	v := m.viewOfOperation(op)
	if _, err := m.records.workspace(r.Context(), op.WorkspaceID); fault.Is(err, fault.NotFound) {
		v.WorkspaceID = 0
	} else if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Render(w, r, sdk.View{Template: "operation", Title: v.Title, Breadcrumbs: []sdk.Link{topCrumb, {Title: "Changes at Particle", Path: "/admin/organizations/operations"}},
		Data: map[string]any{"operation": v, "once": newOnce(), "may_manage": canManage(r)}})
}
