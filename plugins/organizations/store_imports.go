package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
)

// never is when an operation is looked at that something else goes on with.
func never(now time.Time) time.Time { return now.AddDate(100, 0, 0) }

// createImport records an import with its lines, and the operation that stands for it. The import that the same form has made
// before is returned instead, when there is one. full refuses a new one: TooMany.
func (s *records) createImport(ctx context.Context, imp *deviceImport, lines []importLine, op *operation, full bool) (again *deviceImport, err error) {
	var before deviceImport
	err = s.db.WithContext(ctx).Where("once = ?", imp.Once).Take(&before).Error
	if err == nil {
		return &before, nil
	}
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, err
	}
	if full {
		return nil, fault.New(fault.TooMany, "There are %d imports under way in this workspace. Wait for one to end, or cancel one.", maxOpen)
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(imp).Error; err != nil {
			return err
		}
		for i := range lines {
			lines[i].ImportID = imp.ID
		}
		if err := tx.CreateInBatches(lines, 400).Error; err != nil {
			return err
		}
		op.Subject, op.NextAt = keyOf(imp.ID), never(s.now())
		return tx.Create(op).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) { // the same form came twice at once
		err = s.db.WithContext(ctx).Where("once = ?", imp.Once).Take(&before).Error
		return &before, err
	}
	return nil, err
}

// imports lists a page of a workspace's imports, the newest first.
func (s *records) imports(ctx context.Context, workspaceID int64, page, size int) ([]deviceImport, int64, error) {
	q := s.db.WithContext(ctx).Model(&deviceImport{}).Where("workspace_id = ?", workspaceID)
	var total int64
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	var list []deviceImport
	err := q.Order("id DESC").Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// importIn finds an import of a workspace. NotFound when it has none such.
func (s *records) importIn(ctx context.Context, workspaceID, id int64) (*deviceImport, error) {
	var imp deviceImport
	err := s.db.WithContext(ctx).Where("id = ? AND workspace_id = ?", id, workspaceID).Take(&imp).Error
	return found(&imp, err, "There is no such import.")
}

// importOf finds an import wherever it is. NotFound when there is none.
func (s *records) importOf(ctx context.Context, id int64) (*deviceImport, error) {
	var imp deviceImport
	err := s.db.WithContext(ctx).Where("id = ?", id).Take(&imp).Error
	return found(&imp, err, "There is no such import.")
}

// openImports gives the ids of imports that go on by themselves and may do so now.
func (s *records) openImports(ctx context.Context) ([]int64, error) {
	var ids []int64
	err := s.db.WithContext(ctx).Model(&deviceImport{}).
		Where("state IN ? AND next_at <= ?", []string{importRunning, importCancelling}, s.now()).Order("id").Limit(100).Pluck("id", &ids).Error
	return ids, err
}

// importsUnderWay counts the imports of a workspace that are not at their end.
func (s *records) importsUnderWay(ctx context.Context, workspaceID int64) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&deviceImport{}).
		Where("workspace_id = ? AND state IN ?", workspaceID, []string{importRunning, importCancelling, importStopped}).Count(&n).Error
	return n, err
}

// moveImport writes the fields of an import that is still in one of the states, and what its operation says. It tells whether
// it was: somebody may have cancelled it meanwhile.
func (s *records) moveImport(ctx context.Context, imp *deviceImport, from []string, fields map[string]any, opState, sentence string) (moved bool, err error) {
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		res := tx.Model(&deviceImport{}).Where("id = ? AND state IN ?", imp.ID, from).Updates(fields)
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		moved = true
		change := map[string]any{"state": opState, "sentence": sentence}
		if at, ended := fields["ended_at"]; ended {
			change["ended_at"] = at
		}
		return tx.Model(&operation{}).Where("once = ?", imp.Once).Updates(change).Error
	})
	return moved, err
}

// countLines counts the lines of imports by result.
func (s *records) countLines(ctx context.Context, importIDs ...int64) (map[int64]map[string]int, error) {
	var rows []struct {
		ImportID int64
		Result   string
		N        int
	}
	err := s.db.WithContext(ctx).Model(&importLine{}).Select("import_id, result, count(*) AS n").Where("import_id IN ?", importIDs).
		Group("import_id, result").Scan(&rows).Error
	counts := map[int64]map[string]int{}
	for _, r := range rows {
		if counts[r.ImportID] == nil {
			counts[r.ImportID] = map[string]int{}
		}
		counts[r.ImportID][r.Result] = r.N
	}
	return counts, err
}

// countDetails counts the lines of an import, whose devices are in the product, by whether name, groups and notes are written.
func (s *records) countDetails(ctx context.Context, importID int64) (map[string]int, error) {
	var rows []struct {
		Details string
		N       int
	}
	err := s.db.WithContext(ctx).Model(&importLine{}).Select("details, count(*) AS n").
		Where("import_id = ? AND result IN ?", importID, []string{lineAdded, lineExisting}).Group("details").Scan(&rows).Error
	counts := map[string]int{}
	for _, r := range rows {
		counts[r.Details] = r.N
	}
	return counts, err
}

// badFirst orders lines by their numbers, after those that somebody has to look at.
func badFirst(results []string) clause.OrderBy {
	return clause.OrderBy{Expression: clause.Expr{SQL: "result NOT IN (?), number", Vars: []any{results}, WithoutParentheses: true}}
}

// lines lists a page of an import's lines, the bad ones first. result "" means all.
func (s *records) lines(ctx context.Context, importID int64, result string, page, size int) ([]importLine, int64, error) {
	q := s.db.WithContext(ctx).Model(&importLine{}).Where("import_id = ?", importID)
	if result != "" {
		q = q.Where("result = ?", result)
	}
	var total int64
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	var list []importLine
	err := q.Clauses(badFirst(badLines)).Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// linesAfter lists lines that follow a number, for walking over all of them.
func (s *records) linesAfter(ctx context.Context, importID int64, number, n int) ([]importLine, error) {
	var list []importLine
	err := s.db.WithContext(ctx).Where("import_id = ? AND number > ?", importID, number).Order("number").Limit(n).Find(&list).Error
	return list, err
}

// linesToAsk gives the next lines for Particle: those with an unknown answer first.
func (s *records) linesToAsk(ctx context.Context, importID int64, results []string, n int) ([]importLine, error) {
	var list []importLine
	err := s.db.WithContext(ctx).Where("import_id = ? AND result IN ?", importID, results).Order("result, number").Limit(n).Find(&list).Error
	return list, err
}

// linesWithDetails gives the next lines whose name, groups and notes wait to be written.
func (s *records) linesWithDetails(ctx context.Context, importID int64, n int) ([]importLine, error) {
	var list []importLine
	err := s.db.WithContext(ctx).Where("import_id = ? AND details = ? AND result IN ?", importID, detailsWaiting, []string{lineAdded, lineExisting}).
		Order("number").Limit(n).Find(&list).Error
	return list, err
}

// markAsked notes that Particle is about to be asked for lines.
func (s *records) markAsked(ctx context.Context, ids []int64) error {
	return s.db.WithContext(ctx).Model(&importLine{}).Where("id IN ?", ids).
		Updates(map[string]any{"result": lineAsked, "asked": gorm.Expr("asked + 1")}).Error
}

// markWaiting takes back that Particle was asked: it has refused to begin.
func (s *records) markWaiting(ctx context.Context, ids []int64) error {
	return s.db.WithContext(ctx).Model(&importLine{}).Where("id IN ?", ids).
		Updates(map[string]any{"result": lineWaiting, "asked": gorm.Expr("asked - 1")}).Error
}

// outcome is what became of lines. Lines of one outcome are written together.
type outcome struct {
	result, sentence string
	noDetails        bool // their name, groups and notes are not written
}

// saveOutcomes writes what became of lines, all of it or nothing.
func (s *records) saveOutcomes(ctx context.Context, outcomes map[outcome][]int64) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for o, ids := range outcomes { // as many as there are kinds of outcomes
			fields := map[string]any{"result": o.result, "sentence": gorm.Expr("CASE WHEN sentence = '' THEN ? WHEN ? = '' THEN sentence ELSE ? || ' ' || sentence END", o.sentence, o.sentence, o.sentence)}
			if o.noDetails {
				fields["details"] = detailsNone
			}
			for part := range slices.Chunk(ids, 500) {
				if err := tx.Model(&importLine{}).Where("id IN ?", part).Updates(fields).Error; err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// saveDetails notes that name, groups and notes of a line were written or refused.
func (s *records) saveDetails(ctx context.Context, id int64, state, sentence string) error {
	return s.db.WithContext(ctx).Model(&importLine{}).Where("id = ?", id).
		Updates(map[string]any{"details": state, "sentence": gorm.Expr("trim(sentence || ' ' || ?)", sentence)}).Error
}

// forgetImports removes ended imports that are older than age, a few at a time: a daily job comes again.
func (s *records) forgetImports(ctx context.Context, age time.Duration) error {
	var ids []int64
	err := s.db.WithContext(ctx).Model(&deviceImport{}).Where("state IN ? AND started_at < ?", []string{importDone, importCancelled, importStopped}, s.now().Add(-age)).
		Order("id").Limit(20).Pluck("id", &ids).Error
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return dropImports(tx, ids) })
}

func dropImports(tx *gorm.DB, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if err := tx.Where("import_id IN ?", ids).Delete(&importLine{}).Error; err != nil {
		return err
	}
	return tx.Where("id IN ?", ids).Delete(&deviceImport{}).Error
}

// dropOf removes what belongs to a workspace that is removed.
func dropOf(tx *gorm.DB, workspaceID int64) error {
	if err := tx.Where("workspace_id = ?", workspaceID).Delete(&organization{}).Error; err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM organizations_import_lines WHERE import_id IN (SELECT id FROM organizations_imports WHERE workspace_id = ?)", workspaceID).Error; err != nil {
		return err
	}
	return tx.Where("workspace_id = ?", workspaceID).Delete(&deviceImport{}).Error
}
