package main

import (
	"context"
	"strconv"

	"mortise/core/fault"
	"mortise/plugins/internal/tokenapi"
)

// accountsOf asks linking for the accounts of whoever ctx speaks for. They are asked for on each request and kept nowhere, so
// that an unlinked account is gone at once.
func (m *Devices) accountsOf(ctx context.Context) ([]tokenapi.Account, error) {
	var answer tokenapi.Accounts
	if err := m.host.Call(ctx, tokenapi.Service, tokenapi.Get, struct{}{}, &answer); err != nil {
		if fault.Is(err, fault.Unavailable) {
			return nil, fault.Wrap(fault.Unavailable, err, "Your linked accounts cannot be looked up at the moment. Try again in a minute.")
		}
		return nil, err
	}
	return answer.Accounts, nil
}

// reportDead tells linking that Particle refused the token of an account. alive means that the account has a working token
// again: the request may be made once more by the person.
func (m *Devices) reportDead(ctx context.Context, acc tokenapi.Account) (alive bool) {
	var verdict tokenapi.Verdict
	err := m.host.Call(ctx, tokenapi.Service, tokenapi.ReportDead, tokenapi.Report{ID: acc.ID, Generation: acc.Generation}, &verdict)
	if err != nil {
		m.host.Log().Warn("a refused token could not be reported", "account", acc.ID, "error", err)
		return false
	}
	if verdict.State != tokenapi.Active {
		m.live.drop(acc.ID)
	}
	m.lists.drop(acc.ID)
	return verdict.State == tokenapi.Active
}

// accountKey names an account to the hub.
func accountKey(id int64) string { return strconv.FormatInt(id, 10) }
