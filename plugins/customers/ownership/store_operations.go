package ownership

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/customers/site"
)

func (s *records) addOperations(tx *gorm.DB, list []operation) error {
	if len(list) == 0 {
		return nil
	}
	return tx.CreateInBatches(list, writeBatch).Error
}

// saveOperation writes how far one has come. Whom it is about and who began it stay as they are there: both may have been forgotten
// while Particle was asked.
func (s *records) saveOperation(ctx context.Context, op *operation) error {
	return s.db.WithContext(ctx).Model(&operation{}).Where("id = ?", op.ID).
		Select("subject", "state", "sentence", "tries", "next_at", "ended_at").Updates(op).Error
}

// operation finds one. NotFound when there is none.
func (s *records) operation(ctx context.Context, id int64) (*operation, error) {
	var op operation
	err := s.db.WithContext(ctx).Where("id = ?", id).Take(&op).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &op, err
}

// operationOf finds the operation that a form has led to already; nil when there is none.
func (s *records) operationOf(ctx context.Context, once string) (*operation, error) {
	var op operation
	err := s.db.WithContext(ctx).Where("once = ?", once).Take(&op).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return &op, err
}

// due lists operations that may be carried out now, those of one customer for customerID > 0.
func (s *records) due(ctx context.Context, customerID int64, limit int) ([]operation, error) {
	q := s.db.WithContext(ctx).Where("state = ? AND next_at <= ?", opRunning, s.now())
	if customerID > 0 {
		q = q.Where("customer_id = ?", customerID)
	}
	var list []operation
	err := q.Order("next_at, id").Limit(limit).Find(&list).Error
	return list, err
}

// dueAbout lists operations that may be carried out now about some subjects.
func (s *records) dueAbout(ctx context.Context, subjects []string) ([]operation, error) {
	var list []operation
	err := s.db.WithContext(ctx).Where("state = ? AND next_at <= ? AND subject IN ?", opRunning, s.now(), subjects).Order("id").Limit(2 * nowMost).Find(&list).Error
	return list, err
}

// runningSubjects tells which of some subjects have an operation of a kind under way.
func (s *records) runningSubjects(tx *gorm.DB, kind string, subjects []string) (map[string]bool, error) {
	var with []string
	err := tx.Model(&operation{}).Where("kind = ? AND state = ? AND subject IN ?", kind, opRunning, subjects).Pluck("subject", &with).Error
	found := map[string]bool{}
	for _, subject := range with {
		found[subject] = true
	}
	return found, err
}

// wake lets the shadow customers of a product be made at once that wait for an OAuth client, or were refused with the one before.
func (s *records) wake(ctx context.Context, workspaceID int64, productID string) error {
	return s.db.WithContext(ctx).Model(&operation{}).Where("workspace_id = ? AND product_id = ? AND kind = ? AND state IN ?", workspaceID, productID, opShadowCreate, []string{opRunning, opFailed, opUnclear}).
		Where("subject IN (SELECT username FROM customers_shadows WHERE workspace_id = ? AND product_id = ? AND state = ?)", workspaceID, productID, shadowWanted).
		Updates(map[string]any{"state": opRunning, "next_at": s.now(), "ended_at": nil, "tries": 0}).Error
}

// operations lists a page of them, the newest first. state "" means all.
func (s *records) operations(ctx context.Context, state, text string, page, size int) ([]operation, int64, error) {
	q := s.db.WithContext(ctx).Model(&operation{})
	if state != "" {
		q = q.Where("state = ?", state)
	}
	if text != "" {
		like := site.Like(text)
		q = q.Where(`(subject LIKE ? ESCAPE '\' OR product LIKE ? ESCAPE '\' OR by_name LIKE ? ESCAPE '\' OR customer_id IN
			(SELECT user_id FROM customers_people WHERE name LIKE ? ESCAPE '\' OR email LIKE ? ESCAPE '\'))`, like, like, like, like, like)
	}
	q = q.Session(&gorm.Session{})
	var total int64
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	list := []operation{}
	err := q.Order("id DESC").Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// countOperations counts those in a state.
func (s *records) countOperations(ctx context.Context, state string) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&operation{}).Where("state = ?", state).Count(&n).Error
	return n, err
}

// again lets an operation that has ended without success be carried out once more. Conflict when it is not such a one.
func (s *records) again(ctx context.Context, id int64) error {
	res := s.db.WithContext(ctx).Model(&operation{}).Where("id = ? AND state IN ?", id, []string{opFailed, opUnclear, opRunning}).
		Updates(map[string]any{"state": opRunning, "next_at": s.now(), "ended_at": nil, "tries": 0})
	if res.Error == nil && res.RowsAffected == 0 {
		return fault.New(fault.Conflict, "This change has ended; there is nothing to try again.")
	}
	return res.Error
}

// forgetIn takes a person out of all operations: as the one they are about, and as the one who began them.
func (s *records) forgetIn(tx *gorm.DB, userID int64) error {
	if err := tx.Model(&operation{}).Where("customer_id = ?", userID).Update("customer_id", 0).Error; err != nil {
		return err
	}
	return tx.Model(&operation{}).Where("by_id = ?", userID).Updates(map[string]any{"by_id": 0, "by_name": ""}).Error
}

// forgetDetached forgets to whom devices were attached that were detached longer ago than age. Nobody can undo it then.
func (s *records) forgetDetached(ctx context.Context, age time.Duration) error {
	return s.db.WithContext(ctx).Where("detached_at < ?", s.now().Add(-age)).Delete(&attachment{}).Error
}

// trim removes ended operations that are older than age.
func (s *records) trim(ctx context.Context, age time.Duration) error {
	return s.db.WithContext(ctx).Where("state <> ? AND started_at < ?", opRunning, s.now().Add(-age)).Delete(&operation{}).Error
}

// eraseAttachments takes everything that a person has, and gives what was attached.
func (s *records) eraseAttachments(tx *gorm.DB, userID int64) (devices []attachment, grants []grant, err error) {
	if err = tx.Where("user_id = ? AND detached_at IS NULL", userID).Find(&devices).Error; err != nil {
		return nil, nil, err
	}
	if err = tx.Where("user_id = ?", userID).Find(&grants).Error; err != nil {
		return nil, nil, err
	}
	if err = tx.Where("user_id = ?", userID).Delete(&attachment{}).Error; err != nil {
		return nil, nil, err
	}
	return devices, grants, tx.Where("user_id = ?", userID).Delete(&grant{}).Error
}
