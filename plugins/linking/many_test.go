package main

import (
	"testing"
	"time"
)

func TestJobs_ManyRemindedAccountsDoNotHideTheOneBehindThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	mine := b.tokens(t, ann)[0]
	b.clock.forward(mine.ExpiresAt.Sub(b.clock.now()) - 5*24*time.Hour)
	ends, told := mine.ExpiresAt.Add(-time.Hour), b.clock.now()
	crowd := make([]account, batch+50)
	for i := range crowd {
		crowd[i] = account{UserID: int64(1000 + i), Username: "many@particle.example", BaseURL: b.url, ClientID: "site-1234", State: accountActive,
			LinkedAt: told.Add(-24 * time.Hour), TokenAt: told.Add(-24 * time.Hour), ExpiresAt: &ends, RemindedAt: &told}
	}
	if err := b.module.records.db.CreateInBatches(crowd, 100).Error; err != nil {
		t.Fatal(err)
	}
	if err := b.module.Run(t.Context(), "renew"); err != nil {
		t.Fatal(err)
	}
	acc, err := b.module.records.account(t.Context(), ann.UserID, mine.ID)
	if err != nil || acc.Generation == mine.Generation {
		t.Errorf("not renewed: %+v, %v", acc, err)
	}
}
