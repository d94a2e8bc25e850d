package main

import (
	"fmt"
	"strings"
	"testing"

	"mortise/core/sdk"
)

func TestForget_WhatSomebodyDidStaysWithoutTheirName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.rests(t, b.begin(t, importing(strings.Join(b.spares(2), "\n"))))
	var underWay operation // as somebody who works on it has read it
	if err := b.module.records.db.Take(&underWay).Error; err != nil || underWay.UserID != ada.UserID {
		t.Fatalf("%+v, %v", underWay, err)
	}
	for _, fact := range []string{"user.erase_requested", "user.deleted"} {
		if err := b.module.Deliver(t.Context(), sdk.Event{Name: fact, Subject: fmt.Sprintf("user/%d", ada.UserID)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.module.end(t.Context(), &underWay, opDone, "Is done."); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"organizations_operations", "organizations_imports"} {
		var left, all int64
		err := b.module.records.db.Raw("SELECT count(*) FROM " + table + " WHERE user_id <> 0 OR user_name <> 'a former colleague'").Scan(&left).Error
		if err == nil {
			err = b.module.records.db.Table(table).Count(&all).Error
		}
		if err != nil || left != 0 || all == 0 {
			t.Errorf("%s: %d of %d rows name somebody, %v", table, left, all, err)
		}
	}
	if op, err := b.module.records.operation(t.Context(), underWay.ID); err != nil || op.Sentence != "Is done." {
		t.Errorf("%+v, %v", op, err)
	}
}
