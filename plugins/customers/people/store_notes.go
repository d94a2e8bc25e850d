package people

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

const mostNotes = 200 // about one customer

var errNotesFull = fault.New(fault.Conflict, "There are %d notes about this customer already. Delete one first.", mostNotes)

// notes gives those about a customer, the newest first.
func (s store) notes(ctx context.Context, userID int64) ([]note, error) {
	var list []note
	err := s.db.WithContext(ctx).Where("user_id = ?", userID).Order("id DESC").Limit(mostNotes).Find(&list).Error
	return list, err
}

// note finds one about a customer. site.ErrNotFound when there is none.
func (s store) note(ctx context.Context, userID, id int64) (*note, error) {
	var n note
	err := s.db.WithContext(ctx).Where("id = ? AND user_id = ?", id, userID).Take(&n).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &n, err
}

// addNote writes one. The same form once more changes nothing. site.ErrNotFound when the customer was erased meanwhile: a note that came
// later would stay.
func (s store) addNote(ctx context.Context, n note, by history.Actor) error {
	n.ByID, n.ByName, n.Version = by.ID, by.Name, 1
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		here, err := s.those(tx, []int64{n.UserID})
		if err != nil {
			return err
		}
		if here[n.UserID] == nil {
			return site.ErrNotFound
		}
		var have int64
		if err := tx.Model(&note{}).Where("user_id = ?", n.UserID).Count(&have).Error; err != nil {
			return err
		}
		if have >= mostNotes {
			return errNotesFull
		}
		if err := tx.Create(&n).Error; err != nil {
			return err
		}
		return history.Add(tx, history.Entry{UserID: n.UserID, Kind: kindNote, Sentence: "Wrote a note.", At: n.At}.With(by))
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil
	}
	return err
}

// changeNote writes another text over the version that the person saw. changed is false when it has another version by now.
func (s store) changeNote(ctx context.Context, n *note, version int64, text string, by history.Actor, at time.Time) (changed bool, err error) {
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		done := tx.Model(&note{}).Where("id = ? AND user_id = ? AND version = ?", n.ID, n.UserID, version).
			Updates(map[string]any{"text": text, "changed_by": by.Name, "changed_at": at, "version": version + 1})
		if changed = done.RowsAffected > 0; done.Error != nil || !changed {
			return done.Error
		}
		return history.Add(tx, history.Entry{UserID: n.UserID, Kind: kindNote, Sentence: "Changed a note.", At: at}.With(by))
	})
	return changed, err
}

// deleteNote takes away the version that the person saw. gone is false when it has another version by now.
func (s store) deleteNote(ctx context.Context, n *note, version int64, by history.Actor, at time.Time) (gone bool, err error) {
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		done := tx.Where("id = ? AND user_id = ? AND version = ?", n.ID, n.UserID, version).Delete(&note{})
		if gone = done.RowsAffected > 0; done.Error != nil || !gone {
			return done.Error
		}
		return history.Add(tx, history.Entry{UserID: n.UserID, Kind: kindNote, Sentence: "Deleted a note.", At: at}.With(by))
	})
	return gone, err
}
