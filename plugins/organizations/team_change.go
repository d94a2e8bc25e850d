package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// userInput is what the operations user_create and user_rotate do, and who was in the team before.
type userInput struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
	Old    string   `json:"old"` // rotating: the API user whose token is replaced; "" when it is not known
	Before []string `json:"before"`
}

// makeUser carries out user_create, and the first half of user_rotate: a new API user whose token is sealed as the workspace's
// credential in one step. The token before works until that has happened, so a crash cannot lock the site out.
func (m *Organizations) makeUser(ctx context.Context, r *http.Request, a *access, p *place, f userForm) (*operation, string, *trouble, error) {
	number := p.owner.ProductID
	before, err := a.cloud.Team(ctx, a.token, number)
	if err != nil {
		return nil, "", m.troubleIn(ctx, p.w, err, "teams.users:list"), nil
	}
	in := userInput{Name: f.Name, Scopes: f.Scopes, Before: make([]string, 0, len(before))}
	for _, one := range before {
		in.Before = append(in.Before, one.Username)
	}
	op := &operation{Kind: opUserCreate, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: number, Name: f.Name}
	if f.Use {
		op.Kind, in.Old = opUserRotate, p.w.APIUser
	}
	again, err := m.begin(ctx, r, op, in)
	if err != nil || again != nil {
		return again, "", nil, err
	}
	made, err := a.cloud.CreateAPIUser(ctx, a.token, particle.TeamOf{Product: number}, f.Name, f.Scopes)
	if err != nil {
		t := m.troubleIn(ctx, p.w, err, "teams.users:invite")
		if !uncertain(err) {
			return op, "", t, m.end(ctx, op, opFailed, t.Sentence+" "+t.Remedy)
		}
		t.Remedy = "Particle may have made the API user all the same. Its token would be lost, so it is looked for and removed again. " + t.Remedy
		return op, "", t, m.leave(ctx, op, t.Sentence+" What may have been made is looked for and removed again.")
	}
	op.Subject = made.Username
	if f.Use {
		if err := m.records.saveOperation(ctx, op); err != nil {
			return nil, "", nil, err
		}
		return op, made.Token, nil, m.swap(ctx, a, op, made.Token)
	}
	return op, made.Token, nil, m.end(ctx, op, opDone, "The API user "+made.Username+" is created. Its token was shown once and is not kept here.")
}

// swap seals the new token. The name is sealed with it, so that after a crash it is known whose token is kept.
func (m *Organizations) swap(ctx context.Context, a *access, op *operation, token string) error {
	if err := m.host.Secrets().Set(ctx, "credential", keyOf(a.ID), a.BaseURL+" "+token+" "+op.Subject); err != nil {
		return err
	}
	a.token = token
	return m.adopted(ctx, a.workspace, op.Subject)
}

func (m *Organizations) adopted(ctx context.Context, w *workspace, username string) error {
	defer m.renewed(w.ID)
	now := m.now()
	w.APIUser, w.CredentialAt = username, &now
	return m.records.note(ctx, w.ID, map[string]any{"api_user": username, "credential_at": &now, "expires_at": nil, "username": ""})
}

// endRotation removes the API user before, tests the workspace and shows it.
func (m *Organizations) endRotation(ctx context.Context, w http.ResponseWriter, r *http.Request, a *access, op *operation) {
	if err := m.retire(ctx, a, op); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	m.tryOut(ctx, w, r, a.workspace, op.Sentence+" ")
}

// retire carries out the second half of user_rotate, the first time and after a crash.
func (m *Organizations) retire(ctx context.Context, a *access, op *operation) error {
	var in userInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	done := "The workspace uses the token of the new API user " + op.Subject + "."
	if in.Old == "" {
		return m.end(ctx, op, opDone, done+" Whose token it used before is not known here: if it was an API user's, remove that one.")
	}
	err := a.cloud.RemoveMember(ctx, a.token, particle.TeamOf{Product: op.ProductID}, in.Old)
	switch {
	case err == nil, particle.Is(err, particle.NotFound):
		return m.end(ctx, op, opDone, done+" The one before, "+in.Old+", is removed and its token is dead.")
	case uncertain(err):
		return m.leave(ctx, op, done+" The one before, "+in.Old+", could not be removed yet; it is tried again.")
	}
	return m.end(ctx, op, opDone, done+" The one before, "+in.Old+", may not be removed by this token (scope teams.users:remove): remove it at Particle.")
}

// resumeUser goes on with user_create and user_rotate: what was made without its token being kept is removed again.
func (m *Organizations) resumeUser(ctx context.Context, a *access, op *operation) error {
	var in userInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	if op.Kind == opUserRotate && op.Subject != "" && a.sealedFor == op.Subject { // it had come to sealing the new token
		if err := m.adopted(ctx, a.workspace, op.Subject); err != nil {
			return err
		}
		return m.retire(ctx, a, op)
	}
	list, err := a.cloud.Team(ctx, a.token, op.ProductID)
	if err != nil {
		return m.leave(ctx, op, "Was cut short. "+m.troubleIn(ctx, a.workspace, err, "teams.users:list").Sentence)
	}
	made, err := m.records.made(ctx, op.WorkspaceID, opUserCreate, opUserRotate)
	if err != nil {
		return err
	}
	var orphans []string
	for _, one := range list {
		if one.Programmer && one.Name == in.Name && !slices.Contains(in.Before, one.Username) && !made[one.Username] {
			orphans = append(orphans, one.Username)
		}
	}
	switch len(orphans) {
	case 0:
		return m.end(ctx, op, opUndone, "Was cut short before Particle made the API user, or nothing of it can be found by its name. Create it again.")
	case 1:
	default:
		return m.end(ctx, op, opUnclear, "Was cut short. One of these API users was made and its token is lost; remove it: "+strings.Join(orphans, ", ")+".")
	}
	op.Subject = orphans[0]
	err = a.cloud.RemoveMember(ctx, a.token, particle.TeamOf{Product: op.ProductID}, op.Subject)
	if err == nil || particle.Is(err, particle.NotFound) {
		return m.end(ctx, op, opUndone, "Was cut short when Particle had made the API user "+op.Subject+" and nobody had its token yet, so it is removed again. Create it anew.")
	}
	t := m.troubleIn(ctx, a.workspace, err, "teams.users:remove")
	if uncertain(err) {
		return m.leave(ctx, op, "Was cut short. "+t.Sentence)
	}
	return m.end(ctx, op, opUnclear, "Was cut short. The API user "+op.Subject+" was made and its token is lost; remove it at Particle. "+t.Sentence)
}
