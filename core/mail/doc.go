// Package mail sends the site's mails: plain text, over SMTP, or as files where no server is set.
//
// Send only queues. One worker delivers, tries again with growing pauses while the server is away, and puts what could not be delivered into
// the folder "undelivered", so that nothing is lost without a trace. The queue is in memory: a mail that waits when the host is killed is
// lost, and its sender (a person asking for a reset) asks again.
//
// No text that a visitor or a module gives can become a header: addresses are parsed, line breaks refused, and the message is encoded by
// the library.
package mail
