package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mortise/plugins"
)

// gardenLamps is how many devices the customer has whose pages are loaded.
const gardenLamps = 20

func gardenID(n int) string { return fmt.Sprintf("e00fce6800000000005%05d", n) }

// furnishOffice enables a maker's modules and connects them with the simulated cloud as a maker does, over the pages.
func (s *site) furnishOffice(ctx context.Context) (err error) {
	if s.cloud, err = startCloud(s.url); err != nil {
		return err
	}
	s.cloud.grow("garden", gardenID, gardenLamps)
	s.cloud.grow(plotPrefix, plotID, plot)
	if err := s.enable(ctx, "linking"); err != nil {
		return err
	}
	if _, err := s.admin.post(ctx, "/admin/modules/linking/settings", s.cloud.settings()...); err != nil {
		return err
	}
	if err := s.enable(ctx, makers()[1:]...); err != nil {
		return err
	}
	a, err := s.admin.post(ctx, "/admin/organizations/workspaces/new", "name", "Garden", "base_url", s.cloud.url, "token", plugins.ParticleDemoAPIToken)
	if err != nil {
		return err
	}
	var page struct {
		Products []struct {
			ID string `json:"id"`
		} `json:"products"`
	}
	if err := s.admin.json(ctx, a.location+"/products", &page); err != nil {
		return err
	}
	for _, p := range page.Products {
		if p.ID == plugins.ParticleDemoProduct {
			s.product = strings.TrimPrefix(a.location, "/admin/organizations/workspaces/") + "/" + p.ID
			return s.befriend(ctx)
		}
	}
	return fmt.Errorf("%w: the workspace has no product %s but %v", errWrongAnswer, plugins.ParticleDemoProduct, page.Products)
}

// befriend makes the customer whose pages are loaded for the figure of memory, with a page of devices as the workbench's pages have it.
func (s *site) befriend(ctx context.Context) error {
	who := customer(1)
	made, err := s.account(ctx, who)
	if err != nil {
		return err
	}
	v := newVisitor(s.url, 2)
	if err := v.signIn(ctx, who); err != nil {
		return err
	}
	path := fmt.Sprintf("/admin/customers/people/%d/attach", made.ID)
	for _, there := range []string{fmt.Sprintf("/admin/customers/people/%d", s.ann), path} { // the module hears of accounts a moment later
		if err := s.untilThere(ctx, there); err != nil {
			return err
		}
	}
	ids := make([]string, gardenLamps)
	for i := range ids {
		ids[i] = gardenID(i + 1)
	}
	if _, err := s.admin.post(ctx, path, "product", s.product, "ids", strings.Join(ids, "\n")); err != nil {
		return err
	}
	s.friend, s.friendID = v, made.ID
	return nil
}

// untilThere opens a page of the administrator's until it is there.
func (s *site) untilThere(ctx context.Context, path string) error {
	for began := time.Now(); ; {
		a, err := s.admin.get(ctx, path)
		if err != nil || a.status == http.StatusOK {
			return err
		}
		if time.Since(began) > ends {
			return fmt.Errorf("%w: GET %s: %d", errWrongAnswer, path, a.status)
		}
		select {
		case <-time.After(importPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
