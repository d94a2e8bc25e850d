package ownership

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
)

// shadowsIn finds the shadow customers of some people in one product.
func (s *records) shadowsIn(tx *gorm.DB, key productKey, users []int64) (map[int64]shadow, error) {
	var rows []shadow
	if err := tx.Where("workspace_id = ? AND product_id = ? AND user_id IN ?", key.workspaceID, key.productID, users).Find(&rows).Error; err != nil {
		return nil, err
	}
	found := make(map[int64]shadow, len(rows))
	for _, row := range rows {
		found[row.UserID] = row
	}
	return found, nil
}

// shadowsOfProduct lists all of a product.
func (s *records) shadowsOfProduct(tx *gorm.DB, workspaceID int64, productID string) ([]shadow, error) {
	var rows []shadow
	err := tx.Where("workspace_id = ? AND product_id = ?", workspaceID, productID).Order("id").Find(&rows).Error
	return rows, err
}

// shadowsOf lists those of a person.
func (s *records) shadowsOf(tx *gorm.DB, userID int64) ([]shadow, error) {
	var rows []shadow
	err := tx.Where("user_id = ?", userID).Order("id").Find(&rows).Error
	return rows, err
}

// shadow finds one. NotFound when there is none.
func (s *records) shadow(ctx context.Context, userID, workspaceID int64, productID string) (*shadow, error) {
	var row shadow
	err := s.db.WithContext(ctx).Where("user_id = ? AND workspace_id = ? AND product_id = ?", userID, workspaceID, productID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fault.New(fault.NotFound, "The person has no shadow customer in this product.")
	}
	return &row, err
}

// shadowNamed finds one by its name at Particle; nil when there is none.
func (s *records) shadowNamed(ctx context.Context, username string) (*shadow, error) {
	var row shadow
	err := s.db.WithContext(ctx).Where("username = ?", username).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return &row, err
}

func (s *records) saveShadows(tx *gorm.DB, rows []shadow) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(rows, writeBatch).Error
}

// noteShadow writes fields of a shadow customer that is still in one of the states. false: it is not, or is gone.
func (s *records) noteShadow(ctx context.Context, username string, states []string, fields map[string]any) (bool, error) {
	res := s.db.WithContext(ctx).Model(&shadow{}).Where("username = ? AND state IN ?", username, states).Updates(fields)
	return res.RowsAffected > 0, res.Error
}

func (s *records) dropShadows(tx *gorm.DB, ids []int64) error {
	return tx.Where("id IN ?", ids).Delete(&shadow{}).Error
}

// stillShadowed tells which of some people have devices of the way shadow in a product.
func (s *records) stillShadowed(tx *gorm.DB, key productKey, users []int64) (map[int64]bool, error) {
	var with []int64
	err := tx.Model(&attachment{}).Where("workspace_id = ? AND product_id = ? AND way = ? AND detached_at IS NULL AND user_id IN ?", key.workspaceID, key.productID, attachapi.Shadow, users).
		Distinct().Pluck("user_id", &with).Error
	found := map[int64]bool{}
	for _, id := range with {
		found[id] = true
	}
	return found, err
}

// endingShadows lists tokens that end before a time, the next to end first.
func (s *records) endingShadows(ctx context.Context, before time.Time, limit int) ([]shadow, error) {
	var rows []shadow
	err := s.db.WithContext(ctx).Where("state = ? AND expires_at < ?", shadowReady, before).Order("expires_at").Limit(limit).Find(&rows).Error
	return rows, err
}

// countDying counts tokens that end before a time although they should have been renewed.
func (s *records) countDying(ctx context.Context, before time.Time) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&shadow{}).Where("state = ? AND expires_at < ?", shadowReady, before).Count(&n).Error
	return n, err
}

// shadowNames tells whose shadow customers some names at Particle are.
func (s *records) shadowNames(ctx context.Context, workspaceID int64, productID string, names []string) (map[string]int64, error) {
	var rows []shadow
	err := s.db.WithContext(ctx).Where("workspace_id = ? AND product_id = ? AND username IN ?", workspaceID, productID, names).Find(&rows).Error
	whose := make(map[string]int64, len(rows))
	for _, row := range rows {
		whose[row.Username] = row.UserID
	}
	return whose, err
}

// reset finds a key that can still be used. NotFound when there is none.
func (s *records) reset(ctx context.Context, hash string) (*reset, error) {
	var row reset
	err := s.db.WithContext(ctx).Where("hash = ? AND used_at IS NULL AND expires_at > ?", hash, s.now()).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, errNoReset()
	}
	return &row, err
}

func errNoReset() error {
	return fault.New(fault.NotFound, "This link does not work any more: it is good for one hour and for one change. Ask whoever sent it for a new one.")
}

func (s *records) saveReset(ctx context.Context, row *reset) error {
	return s.db.WithContext(ctx).Create(row).Error
}

// countResets counts the keys that a customer was sent within the last hour.
func (s *records) countResets(ctx context.Context, workspaceID int64, productID, username string) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&reset{}).Where("workspace_id = ? AND product_id = ? AND username = ? AND created_at > ?", workspaceID, productID, username, s.now().Add(-time.Hour)).Count(&n).Error
	return n, err
}

// useReset takes a key for one try. NotFound when it was used, or is being used, or is over.
func (s *records) useReset(ctx context.Context, id int64) error {
	now := s.now()
	res := s.db.WithContext(ctx).Model(&reset{}).Where("id = ? AND used_at IS NULL AND expires_at > ?", id, now).Updates(map[string]any{"used_at": &now, "tries": gorm.Expr("tries + 1")})
	if res.Error == nil && res.RowsAffected == 0 {
		return errNoReset()
	}
	return res.Error
}

// returnReset makes a key good again whose try has failed.
func (s *records) returnReset(ctx context.Context, id int64) error {
	return s.db.WithContext(ctx).Model(&reset{}).Where("id = ?", id).Update("used_at", nil).Error
}

// dropResets forgets keys that were used and those that are over.
func (s *records) dropResets(ctx context.Context) error {
	return s.db.WithContext(ctx).Where("expires_at < ?", s.now()).Delete(&reset{}).Error
}

// countFailedShadows counts shadow customers that are wanted and whose making has ended without success.
func (s *records) countFailedShadows(ctx context.Context) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&shadow{}).Where(`state = ? AND NOT EXISTS
		(SELECT 1 FROM customers_operations o WHERE o.subject = customers_shadows.username AND o.kind = ? AND o.state = ?)`, shadowWanted, opShadowCreate, opRunning).Count(&n).Error
	return n, err
}
