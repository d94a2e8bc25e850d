package main

import (
	"context"

	"gorm.io/gorm"
)

func replaceOrganizations(tx *gorm.DB, workspaceID int64, list []organization) error {
	if err := tx.Where("workspace_id = ?", workspaceID).Delete(&organization{}).Error; err != nil || len(list) == 0 {
		return err
	}
	return tx.CreateInBatches(list, 100).Error
}

// organizations lists those of a workspace by name.
func (s *records) organizations(ctx context.Context, workspaceID int64) ([]organization, error) {
	var list []organization
	err := s.db.WithContext(ctx).Where("workspace_id = ?", workspaceID).Order("name, org_id").Limit(maxOrganizations).Find(&list).Error
	return list, err
}

// organization finds one of a workspace by Particle's id. NotFound when it has none such.
func (s *records) organization(ctx context.Context, workspaceID int64, orgID string) (*organization, error) {
	var o organization
	err := s.db.WithContext(ctx).Where("workspace_id = ? AND org_id = ?", workspaceID, orgID).Take(&o).Error
	return found(&o, err, "The workspace has no such organization.")
}

// usingUser lists the workspaces whose credential is the token of an API user.
func (s *records) usingUser(ctx context.Context, username string) ([]workspace, error) {
	var list []workspace
	err := s.db.WithContext(ctx).Where("api_user <> '' AND api_user = ? COLLATE NOCASE", username).Order("name").Limit(maxWorkspaces).Find(&list).Error
	return list, err
}
