// Package identity knows the people of the site: who they are, what they may do, and who is signed in.
//
// One process owns the store, so the maps of sessions and permissions in memory are the truth for reading: Authenticate and Can
// cost no query, and what is not in memory is not signed in. Each change is written first and then taken over into memory,
// one change at a time.
//
// # Tokens
//
// Session tokens and one-time links are 256 random bits. The store holds their SHA-256 alone; that is enough for values that
// cannot be guessed, while passwords get argon2id with OWASP's parameters (19 MiB, 2 passes, 1 lane).
//
// # Guessing
//
// Failed sign-ins are counted in sliding windows of 15 minutes, in memory and bounded. An attempt is counted before the password
// is looked at and taken back when it was right, so that parallel guesses do not slip through.
//
//   - Account from one address: 5 failures, then that address has to wait for that account. Others, also the owner elsewhere,
//     are not affected, so nobody can be locked out by somebody else.
//   - Address over all accounts: 50 failures (IPv6: per /64, and 200 per /48).
//   - Account under attack (100 failures from anywhere in the window): addresses from which the account is not signed in already
//     have 2 failures instead of 5. A botnet gets little out of its size; the owner still has two tries, the familiar
//     devices, and the reset by mail.
//   - Site under attack (1,000 failures in the window): an address has 10 instead of 50.
//
// Unknown names count and answer like known ones, after the same work: a password of theirs is checked against a dummy hash.
// At most a few passwords are hashed at the same time (19 MiB each); the others wait five seconds at most. Registration tells
// whether an address is taken, as it must where people sign in at once; it is limited to 20 attempts an hour for an address.
//
// The counters start anew with the process. Only who can restart the host could use that.
package identity
