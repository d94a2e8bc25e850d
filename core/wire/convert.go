package wire

import (
	"time"

	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

func identityFrom(i *modulepb.Identity) sdk.Identity {
	return sdk.Identity{
		UserID: i.GetUserId(), Name: i.GetName(), Roles: i.GetRoles(), Permissions: i.GetPermissions(),
		Locale: i.GetLocale(), TimeZone: i.GetTimeZone(),
	}
}

func identityTo(i sdk.Identity) *modulepb.Identity {
	return &modulepb.Identity{
		UserId: i.UserID, Name: i.Name, Roles: i.Roles, Permissions: i.Permissions, Locale: i.Locale, TimeZone: i.TimeZone,
	}
}

func userFrom(u *modulepb.User) sdk.User {
	user := sdk.User{ID: u.GetId(), Name: u.GetName(), Email: u.GetEmail(), Roles: u.GetRoles(), Blocked: u.GetBlocked()}
	if u.GetCreatedUnixNano() != 0 {
		user.CreatedAt = time.Unix(0, u.GetCreatedUnixNano()).UTC()
	}
	return user
}

func userTo(u sdk.User) *modulepb.User {
	user := &modulepb.User{Id: u.ID, Name: u.Name, Email: u.Email, Roles: u.Roles, Blocked: u.Blocked}
	if !u.CreatedAt.IsZero() {
		user.CreatedUnixNano = u.CreatedAt.UnixNano()
	}
	return user
}
