package people

import (
	"context"
	"time"

	"mortise/core/sdk"
)

const peopleService = "host.people"

// account is a customer's account as the site tells it.
type account struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Blocked     bool       `json:"blocked"`
	HasPassword bool       `json:"has_password"`
	CreatedAt   time.Time  `json:"created_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"`
}

// accounts is host.people. Every error is a fault, see the site's help on services.
type accounts struct{ host sdk.Host }

// ask calls a method and reads its answer.
func ask[Answer any](ctx context.Context, a accounts, method string, in any) (answer Answer, err error) {
	err = a.host.Call(ctx, peopleService, method, in, &answer)
	return answer, err
}

type byID struct {
	ID int64 `json:"id"`
}

type newcomer struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// get asks for one. fault.NotFound when there is no such account, fault.Denied when it is more than a customer's.
func (a accounts) get(ctx context.Context, id int64) (account, error) {
	return ask[account](ctx, a, "get", byID{id})
}

// find asks who has an address. fault.NotFound and fault.Denied as for get.
func (a accounts) find(ctx context.Context, email string) (account, error) {
	return ask[account](ctx, a, "find", map[string]any{"email": email})
}

type listQuery struct {
	Sort   string `json:"sort"`
	Desc   bool   `json:"desc"`
	Offset int    `json:"offset"`
	Limit  int    `json:"limit"`
}

func (a accounts) list(ctx context.Context, q listQuery) ([]account, error) {
	page, err := ask[struct {
		People []account `json:"people"`
	}](ctx, a, "list", q)
	return page.People, err
}

type invited struct {
	ID      int64 `json:"id"`
	Created bool  `json:"created"`
	Invited bool  `json:"invited"`
}

func (a accounts) invite(ctx context.Context, name, email string) (invited, error) {
	return ask[invited](ctx, a, "invite", newcomer{name, email})
}

func (a accounts) create(ctx context.Context, name, email string) (int64, error) {
	done, err := ask[byID](ctx, a, "create", newcomer{name, email})
	return done.ID, err
}

// resend mails a new link to choose a password, and tells until when it is good.
func (a accounts) resend(ctx context.Context, id int64) (time.Time, error) {
	done, err := ask[struct {
		ExpiresAt time.Time `json:"expires_at"`
	}](ctx, a, "resend", byID{id})
	return done.ExpiresAt, err
}

// block blocks or unblocks.
func (a accounts) block(ctx context.Context, id int64, block bool) error {
	method := "unblock"
	if block {
		method = "block"
	}
	return a.host.Call(ctx, peopleService, method, byID{id}, nil)
}

func (a accounts) delete(ctx context.Context, id int64) error {
	return a.host.Call(ctx, peopleService, "delete", byID{id}, nil)
}
