package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"mortise/core/control"
)

func runUser(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("user", t)
	if err != nil {
		return err
	}
	name := fs.String("name", "", "create: the person's name; the address when left out")
	password := fs.String("password", "", "create: a password; without one, let the person in by a login link")
	roles := fs.String("roles", "customer", "create: roles, separated by commas")
	take := fs.Bool("take", false, "role: take the role away instead of giving it")
	words, err := parse(fs, t, args)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return fmt.Errorf("expected create, list, role or login-link: %w", errUsage)
	}
	verb, words := words[0], words[1:]
	switch {
	case verb == "list" && len(words) <= 1:
		return site.with(ctx, t, func(o control.Operations) error { return listUsers(ctx, t, site, o, strings.Join(words, "")) })
	case verb == "create" && len(words) == 1:
		user := control.NewUser{Email: words[0], Name: *name, Password: *password, Roles: split(*roles)}
		return site.with(ctx, t, func(o control.Operations) error {
			made, err := o.CreateUser(ctx, user)
			if err != nil {
				return err
			}
			return site.print(t, made, func(tab *tabwriter.Writer) { fmt.Fprintf(tab, "made account %d for %s\n", made.ID, made.Email) })
		})
	case verb == "role" && len(words) == 2:
		return site.with(ctx, t, func(o control.Operations) error {
			user, err := o.SetRole(ctx, words[0], words[1], !*take)
			if err != nil {
				return err
			}
			return site.print(t, user, func(tab *tabwriter.Writer) {
				fmt.Fprintf(tab, "%s now has the roles %s\n", user.Email, strings.Join(user.Roles, ", "))
			})
		})
	case verb == "login-link" && len(words) == 1:
		return site.with(ctx, t, func(o control.Operations) error {
			link, err := o.LoginLink(ctx, words[0])
			if err != nil {
				return err
			}
			return site.print(t, map[string]string{"url": link}, func(tab *tabwriter.Writer) { fmt.Fprintln(tab, link) })
		})
	}
	return fmt.Errorf("expected: create EMAIL, list [SEARCH], role EMAIL ROLE [--take], or login-link EMAIL: %w", errUsage)
}

func listUsers(ctx context.Context, t *terminal, site *siteFlags, o control.Operations, search string) error {
	users, err := o.Users(ctx, search)
	if err != nil {
		return err
	}
	return site.print(t, users, func(tab *tabwriter.Writer) {
		fmt.Fprintln(tab, "ID\tNAME\tE-MAIL\tROLES\tSTATE")
		for _, u := range users {
			state := "active"
			if u.Blocked {
				state = "blocked"
			}
			fmt.Fprintf(tab, "%d\t%s\t%s\t%s\t%s\n", u.ID, u.Name, u.Email, strings.Join(u.Roles, ", "), state)
		}
	})
}

func split(list string) []string {
	var out []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}
