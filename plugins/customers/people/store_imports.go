package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// addImport writes an import with its lines. The same form once more gives the one that is there.
func (s store) addImport(ctx context.Context, u *upload, lines []importLine) error {
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(u).Error; err != nil {
			return err
		}
		for i := range lines {
			lines[i].ImportID = u.ID
		}
		return tx.CreateInBatches(lines, 500).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return s.db.WithContext(ctx).Where("once = ?", u.Once).Take(u).Error
	}
	return err
}

// upload finds one import. site.ErrNotFound when there is none.
func (s store) upload(ctx context.Context, id int64) (*upload, error) {
	var u upload
	err := s.db.WithContext(ctx).Where("id = ?", id).Take(&u).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &u, err
}

// uploads gives the last imports.
func (s store) uploads(ctx context.Context, limit int) ([]upload, error) {
	var list []upload
	err := s.db.WithContext(ctx).Order("id DESC").Limit(limit).Find(&list).Error
	return list, err
}

// running gives the imports that are not done, the oldest first.
func (s store) running(ctx context.Context) ([]upload, error) {
	var list []upload
	err := s.db.WithContext(ctx).Where("state = ?", importRunning).Order("id").Limit(100).Find(&list).Error
	return list, err
}

// lines counts those of an import by their results.
func (s store) lineCounts(ctx context.Context, id int64) (map[string]int64, error) {
	var rows []struct {
		Result string
		N      int64
	}
	err := s.db.WithContext(ctx).Model(&importLine{}).Where("import_id = ?", id).Select("result, count(*) AS n").Group("result").Scan(&rows).Error
	found := map[string]int64{}
	for _, r := range rows {
		found[r.Result] = r.N
	}
	return found, err
}

// badLines are the results that somebody has to do something about.
var badLines = []string{lineBlocked, lineStaff, lineInvalid, lineDuplicate, lineFailed}

// linesToShow gives a part of an import's lines, the bad ones first. results nil means all.
func (s store) linesToShow(ctx context.Context, id int64, results []string, offset, limit int) ([]importLine, error) {
	db := s.db.WithContext(ctx).Where("import_id = ?", id)
	if results != nil {
		db = db.Where("result IN ?", results)
	}
	var list []importLine
	err := db.Clauses(clause.OrderBy{Expression: clause.Expr{SQL: "result NOT IN (?), number", Vars: []any{badLines}, WithoutParentheses: true}}).
		Offset(offset).Limit(limit).Find(&list).Error
	return list, err
}

// lines gives lines after a number, as they stand in the file. results nil means all.
func (s store) lines(ctx context.Context, id int64, results []string, after, limit int) ([]importLine, error) {
	db := s.db.WithContext(ctx).Where("import_id = ? AND number > ?", id, after)
	if results != nil {
		db = db.Where("result IN ?", results)
	}
	var list []importLine
	err := db.Order("number").Limit(limit).Find(&list).Error
	return list, err
}

// asking notes that the site is being asked about lines, before it is. Those that were asked before keep their time.
func (s store) asking(ctx context.Context, ids []int64, at time.Time) error {
	return s.db.WithContext(ctx).Model(&importLine{}).Where("id IN ? AND asked_at IS NULL", ids).Update("asked_at", at).Error
}

// answered writes what became of lines, with the notes and the history, in one transaction.
func (s store) answered(ctx context.Context, lines []importLine, notes []note, told []history.Entry) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns([]string{"result", "sentence", "user_id", "asked_at"})}).
			CreateInBatches(lines, 100).Error
		if err != nil {
			return err
		}
		if notes, told, err = s.stillHere(tx, notes, told); err != nil {
			return err
		}
		if len(notes) > 0 {
			if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(notes, 100).Error; err != nil {
				return err
			}
		}
		return history.Add(tx, told...)
	})
}

// stillHere leaves out what is about customers who were erased while their lines were worked on.
func (s store) stillHere(tx *gorm.DB, notes []note, told []history.Entry) ([]note, []history.Entry, error) {
	ids := make([]int64, 0, len(told))
	for _, e := range told {
		ids = append(ids, e.UserID)
	}
	here, err := s.those(tx, ids)
	if err != nil {
		return nil, nil, err
	}
	notes = slices.DeleteFunc(notes, func(n note) bool { return here[n.UserID] == nil })
	told = slices.DeleteFunc(told, func(e history.Entry) bool { return here[e.UserID] == nil })
	return notes, told, nil
}

// notesOf gives the texts of notes about people.
func (s store) notesOf(ctx context.Context, ids []int64) (map[int64][]string, error) {
	var rows []struct {
		UserID int64
		Text   string
	}
	found := map[int64][]string{}
	if len(ids) == 0 {
		return found, nil
	}
	err := s.db.WithContext(ctx).Model(&note{}).Where("user_id IN ?", ids).Select("user_id, text").Limit(10_000).Scan(&rows).Error
	for _, r := range rows {
		found[r.UserID] = append(found[r.UserID], r.Text)
	}
	return found, err
}

// setImport changes an import that is still in a state. changed is false when it is in another by now.
func (s store) setImport(ctx context.Context, id int64, in string, fields map[string]any) (changed bool, err error) {
	done := s.db.WithContext(ctx).Model(&upload{}).Where("id = ? AND state = ?", id, in).Updates(fields)
	return done.RowsAffected > 0, done.Error
}

// forgetImports erases imports that began before t, and what the lines of them said.
func (s store) forgetImports(ctx context.Context, t time.Time) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		old := tx.Model(&upload{}).Where("at < ? AND state <> ?", t, importRunning).Select("id")
		if err := tx.Where("import_id IN (?)", old).Delete(&importLine{}).Error; err != nil {
			return fmt.Errorf("erase old lines: %w", err)
		}
		return tx.Where("at < ? AND state <> ?", t, importRunning).Delete(&upload{}).Error
	})
}
