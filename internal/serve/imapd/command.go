package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// moment says in which states a command may come (RFC 3501 §3).
type moment byte

const (
	always   moment = iota
	before          // nobody has logged in
	loggedIn        // somebody has
	selected        // and a mailbox is selected
)

// command is how a command is answered.
type command struct {
	when moment
	do   func(*session, imap.Request) (reply, error)
	// numbers: sequence numbers are in use while it is in hand, so that no
	// EXPUNGE may come, unless it is by UID (RFC 3501 §7.4.1).
	numbers bool
	// removes: what it did is told as news, even to a client that wants none.
	removes bool
}

// commands are those we know, by imap.Command.Name.
var commands = map[string]command{
	"APPEND":         {when: loggedIn, do: with((*session).append)},
	"AUTHENTICATE":   {when: before, do: with((*session).authenticate)},
	"CANCELUPDATE":   {when: selected, do: with((*session).cancelUpdate)},
	"CAPABILITY":     {when: always, do: plain((*session).capability)},
	"CHECK":          {when: selected, do: (*session).noop},
	"CLOSE":          {when: selected, do: plain((*session).close)},
	"COMPRESS":       {when: loggedIn, do: (*session).compress},
	"COPY":           {when: selected, do: with((*session).copy)},
	"CREATE":         {when: loggedIn, do: with((*session).create)},
	"DELETE":         {when: loggedIn, do: with((*session).delete)},
	"DELETEACL":      {when: loggedIn, do: with((*session).acl)},
	"ENABLE":         {when: loggedIn, do: with((*session).enable)},
	"ESEARCH":        {when: loggedIn, do: with((*session).esearch)},
	"EXAMINE":        {when: loggedIn, do: with((*session).selectBox)},
	"EXPUNGE":        {when: selected, do: with((*session).expunge), removes: true},
	"FETCH":          {when: selected, do: with((*session).fetch), numbers: true},
	"GETACL":         {when: loggedIn, do: with((*session).acl)},
	"GETJMAPACCESS":  {when: loggedIn, do: plain((*session).jmapAccess)},
	"GETMETADATA":    {when: loggedIn, do: with((*session).getMetadata)},
	"GETQUOTA":       {when: loggedIn, do: with((*session).getQuota)},
	"GETQUOTAROOT":   {when: loggedIn, do: with((*session).getQuotaRoot)},
	"ID":             {when: always, do: with((*session).id)},
	"IDLE":           {when: loggedIn, do: (*session).idle},
	"LANGUAGE":       {when: always, do: with((*session).language)},
	"LIST":           {when: loggedIn, do: with((*session).list)},
	"LISTRIGHTS":     {when: loggedIn, do: with((*session).acl)},
	"LOGIN":          {when: before, do: with((*session).login)},
	"LOGOUT":         {when: always, do: plain((*session).logout)},
	"LSUB":           {when: loggedIn, do: with((*session).list)},
	"MOVE":           {when: selected, do: with((*session).copy), removes: true},
	"MYRIGHTS":       {when: loggedIn, do: with((*session).acl)},
	"NAMESPACE":      {when: loggedIn, do: plain((*session).namespace)},
	"NOOP":           {when: always, do: (*session).noop},
	"NOTIFY":         {when: loggedIn, do: with((*session).notify)},
	"REPLACE":        {when: selected, do: with((*session).append)},
	"RENAME":         {when: loggedIn, do: with((*session).rename)},
	"SEARCH":         {when: selected, do: with((*session).search), numbers: true},
	"SELECT":         {when: loggedIn, do: with((*session).selectBox)},
	"SETACL":         {when: loggedIn, do: with((*session).acl)},
	"SETMETADATA":    {when: loggedIn, do: with((*session).setMetadata)},
	"SETQUOTA":       {when: loggedIn, do: with((*session).setQuota)},
	"SORT":           {when: selected, do: with((*session).sort), numbers: true},
	"STARTTLS":       {when: before, do: (*session).upgrade},
	"STATUS":         {when: loggedIn, do: with((*session).status)},
	"STORE":          {when: selected, do: with((*session).store), numbers: true},
	"SUBSCRIBE":      {when: loggedIn, do: with((*session).subscribe)},
	"THREAD":         {when: selected, do: with((*session).thread), numbers: true},
	"UIDBATCHES":     {when: selected, do: with((*session).batches)},
	"UNAUTHENTICATE": {when: loggedIn, do: plain((*session).unauthenticate)},
	"UNSELECT":       {when: selected, do: plain((*session).unselect)},
	"UNSUBSCRIBE":    {when: loggedIn, do: with((*session).subscribe)},
}

// with is a command that is done by its arguments.
func with[C imap.Command](do func(*session, C) (reply, error)) func(*session, imap.Request) (reply, error) {
	return func(c *session, req imap.Request) (reply, error) { return do(c, req.Command.(C)) }
}

// plain is a command without arguments.
func plain(do func(*session) (reply, error)) func(*session, imap.Request) (reply, error) {
	return func(c *session, _ imap.Request) (reply, error) { return do(c) }
}

// wrongState refuses a command that may not come now (RFC 3501 §3); an empty
// reply means that it may.
func (c *session) wrongState(name string, when moment) reply {
	switch {
	case when == before && c.in:
		return clientBug("you are logged in already")
	case when == selected && c.sel == nil:
		return clientBug(name + " needs a selected mailbox")
	case when == loggedIn && !c.in:
		return clientBug(name + " needs a login")
	}
	return reply{}
}

// clientBug is the reply to what no client should do (RFC 5530 §3).
func clientBug(text string) reply { return reply{"BAD", "CLIENTBUG", text} }

// mayExpunge says whether EXPUNGE responses may come before the command's
// reply.
func (c command) mayExpunge(cmd imap.Command) bool { return !c.numbers || imap.ByUID(cmd) }
