package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/tokenapi"
)

// Call answers particle.token, linking.client and linking.people. Whose tokens are given is decided by call.User alone, for whom the host vouches.
func (m *Linking) Call(ctx context.Context, call sdk.Call) (any, error) {
	switch call.Service {
	case clientService:
		return m.callClient(ctx, call)
	case tokenapi.PeopleService:
		return m.callPeople(ctx, call)
	}
	if call.Service != tokenapi.Service {
		return nil, fault.New(fault.NotFound, "There is no service %q here.", call.Service)
	}
	if !call.User.SignedIn() {
		return nil, fault.New(fault.SignedOut, "Tokens are given only on behalf of a person.")
	}
	switch call.Method {
	case tokenapi.Get:
		return m.tokensOf(ctx, call.User.UserID)
	case tokenapi.ReportDead:
		var report tokenapi.Report
		decoder := json.NewDecoder(bytes.NewReader(call.Input))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&report); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "expected account_id and generation")
		}
		return m.judge(ctx, call.User.UserID, report)
	}
	return nil, fault.New(fault.NotFound, "The service has no method %q.", call.Method)
}

// tokensOf gives a person's accounts with their tokens.
func (m *Linking) tokensOf(ctx context.Context, userID int64) (tokenapi.Accounts, error) {
	list, err := m.records.accounts(ctx, userID)
	if err != nil {
		return tokenapi.Accounts{}, err
	}
	answer := tokenapi.Accounts{Accounts: make([]tokenapi.Account, 0, len(list))}
	var used []int64
	for i := range list {
		acc := &list[i]
		given, err := m.giveToken(ctx, acc)
		if err != nil {
			return tokenapi.Accounts{}, err
		}
		answer.Accounts = append(answer.Accounts, given)
		if given.State == tokenapi.Active && (acc.LastUsedAt == nil || m.now().Sub(*acc.LastUsedAt) > touchEvery) {
			used = append(used, acc.ID)
		}
	}
	if len(used) > 0 {
		if err := m.records.touch(ctx, used); err != nil {
			m.host.Log().Warn("the last use of a link could not be noted", "error", err)
		}
	}
	return answer, nil
}

// touchEvery keeps reads from writing: the last use is known to within this time.
const touchEvery = 5 * time.Minute

func (m *Linking) giveToken(ctx context.Context, acc *account) (tokenapi.Account, error) {
	given := tokenapi.Account{ID: acc.ID, Label: acc.Username, State: tokenapi.Dead, BaseURL: acc.BaseURL, Generation: acc.Generation}
	// A token is never sent to another cloud than the one that gave it.
	if acc.State != accountActive || acc.BaseURL != readSettings(m.host.Settings()).baseURL {
		return given, nil
	}
	t, err := m.readToken(ctx, acc.ID)
	if fault.Is(err, fault.NotFound) {
		return given, m.bury(ctx, acc)
	}
	if err != nil {
		return given, err
	}
	if t.ending(m.now()) {
		fresh, err := m.renew(ctx, acc, t)
		switch {
		case err == nil:
			t = fresh
		case m.now().After(*t.ExpiresAt) && beyondRenewal(err):
			return given, m.bury(ctx, acc)
		}
	}
	given.State, given.AccessToken, given.ExpiresAt, given.Generation = tokenapi.Active, t.AccessToken, t.ExpiresAt, t.Generation
	return given, nil
}

// probeLimit bounds the question whether a token is really dead.
const probeLimit = 5 * time.Second

// judge looks into a report that Particle refused a token: it may be an older one, it may be renewed, and it may be alive.
func (m *Linking) judge(ctx context.Context, userID int64, report tokenapi.Report) (tokenapi.Verdict, error) {
	acc, err := m.records.account(ctx, userID, report.ID)
	if err != nil {
		return tokenapi.Verdict{}, err
	}
	if acc.State != accountActive {
		return tokenapi.Verdict{State: tokenapi.Dead}, nil
	}
	t, err := m.readToken(ctx, acc.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return tokenapi.Verdict{}, err
	}
	if err == nil {
		if t.Generation != report.Generation || m.isAlive(ctx, acc, t) {
			return tokenapi.Verdict{State: tokenapi.Active}, nil
		}
		if _, err := m.renew(ctx, acc, t); err == nil {
			return tokenapi.Verdict{State: tokenapi.Active}, nil
		}
	}
	return tokenapi.Verdict{State: tokenapi.Dead}, m.bury(ctx, acc)
}

// isAlive asks Particle about the token itself. Only a clear yes counts: the caller has just seen a no.
func (m *Linking) isAlive(ctx context.Context, acc *account, t sealed) bool {
	cloud, err := m.cloud(acc.BaseURL)
	if err != nil {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	_, err = cloud.CurrentToken(limited, t.AccessToken)
	return err == nil
}

// bury marks an account dead and tells its person, once.
func (m *Linking) bury(ctx context.Context, acc *account) error {
	changed, err := m.records.markDead(ctx, acc)
	if err != nil || !changed {
		return err
	}
	m.host.Log().Info("a link is dead", "account", acc.ID)
	m.tell(ctx, acc.UserID, "Your Particle account needs to be linked again", "Particle does not accept the link to your account "+
		acc.Username+" any more. This happens when a link is older than 90 days, when the password was changed, or when access was taken back.\n\n"+
		"To use your devices again, open this page and link the account again:\n\n"+m.pageURL("/linking")+"\n")
	return nil
}

// tell sends a mail. That it cannot be sent stops nothing: the pages say the same.
func (m *Linking) tell(ctx context.Context, userID int64, subject, text string) {
	if err := m.host.Mail(ctx, sdk.Mail{UserID: userID, Subject: subject, Text: text}); err != nil {
		m.host.Log().Warn("a mail about a link could not be sent", "error", err)
	}
}

func (m *Linking) pageURL(path string) string { return m.host.Site().PublicURL + path }
