package main

import (
	"context"
	"strings"
	"sync"
	"time"
)

// uses tells who needs what somebody is about to delete.
type uses struct {
	By      []string `json:"by"`      // sentences: who uses it, and what ends
	Unasked []string `json:"unasked"` // sentences: who could not be asked
}

// useLimit is for asking who uses something: a page waits for it.
const useLimit = 3 * time.Second

// shadowClients is what the module customers says of the clients with which it makes shadow customers.
type shadowClients struct {
	Clients []struct {
		ClientID    string `json:"client_id"`
		WorkspaceID int64  `json:"workspace_id"`
		ProductID   string `json:"product_id"`
	} `json:"clients"`
}

// usesOfClient asks linking, customers and Particle, at once, who uses an OAuth client.
func (m *Organizations) usesOfClient(ctx context.Context, w *workspace, clientID string) uses {
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	var asking sync.WaitGroup
	var linking, customers, own uses
	asking.Go(func() {
		switch using, known := m.linkingUses(ctx); {
		case !known:
			linking.Unasked = append(linking.Unasked, "Linking: it is not installed, or does not answer.")
		case using.ClientID == clientID:
			linking.By = append(linking.By, "Linking: people link their Particle accounts with it. Nobody can link an account or renew a link until another client is entered there.")
		}
	})
	asking.Go(func() {
		var using shadowClients
		if err := m.host.Call(ctx, customersService, "get", struct{}{}, &using); err != nil {
			customers.Unasked = append(customers.Unasked, "Customers: it is not installed, or does not answer.")
			return
		}
		for _, c := range using.Clients {
			if c.ClientID == clientID {
				customers.By = append(customers.By, "Customers: shadow customers of product "+c.ProductID+" are made and their tokens renewed with it. They cannot use their devices until another client is handed over.")
			}
		}
	})
	asking.Go(func() {
		a, t := m.access(ctx, w)
		if t != nil { // a workspace without a credential uses none
			return
		}
		info, err := a.cloud.CurrentToken(ctx, a.token)
		switch {
		case err == nil && info.ClientID == clientID:
			own.By = append(own.By, "This workspace: its own credential was made with it, and may end.")
		case err != nil && !refused(err):
			own.Unasked = append(own.Unasked, "Particle: it does not say with which client this workspace's credential was made.")
		}
	})
	asking.Wait()
	all := uses{By: []string{}, Unasked: []string{}}
	for _, u := range []uses{linking, customers, own} {
		all.By, all.Unasked = append(all.By, u.By...), append(all.Unasked, u.Unasked...)
	}
	return all
}

// usesOfMember tells which workspaces work with the token of somebody in a team.
func (m *Organizations) usesOfMember(ctx context.Context, c *crew, one memberView) (uses, error) {
	u := uses{By: []string{}, Unasked: []string{}}
	list, err := m.records.usingUser(ctx, one.Username)
	if err != nil {
		return u, err
	}
	for _, w := range list {
		which := "The workspace " + w.Name
		if w.ID == c.w.ID {
			which = "This workspace"
		}
		u.By = append(u.By, which+": its credential is the token of "+one.Username+". The site does not reach Particle through it any more, until another token is entered.")
	}
	switch {
	case len(list) > 0:
	case one.Program && c.w.APIUser == "" && c.w.CredentialAt != nil:
		u.Unasked = append(u.Unasked, "This workspace: its token was entered by hand, and Particle does not say which API user it belongs to.")
	case !one.Program && c.w.Username != "" && strings.EqualFold(c.w.Username, one.Username):
		u.By = append(u.By, "This workspace: its credential is a token of this person, who loses the right to "+c.name+".")
	}
	return u, nil
}
