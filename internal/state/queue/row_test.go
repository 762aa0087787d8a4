package queue

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

var fullMessage = Message{
	ID: mail.ArrivalID{9}, At: t0, Blob: mail.BlobID{7}, Size: 1 << 40, Prefix: []byte("A: b\r\n"), From: mail.Address{Local: "ä", Domain: "x.test"},
	EnvID: "env", single: true, HeadersOnly: true, UTF8: true, EightBit: true, RequireTLS: true, Quoted: true, Junk: true, Account: 5,
	Demands: mail.Demands{
		Binary: true, Full: true, TLSOptional: true, By: mail.DeliverBy{At: t0.Add(time.Hour), Return: true, Trace: true},
		Release: t0.Add(time.Minute), Requested: "for;60", Priority: -3, Prioritized: true, Solicit: "net.example:ADV",
	},
}

var fullDelivery = Delivery{
	Message: mail.ArrivalID{9}, N: 3, To: mail.Address{Local: "b c", Domain: "y.test"}, Original: "rfc822;q@y.test",
	Notify: mail.NotifyDelay, State: Waiting, Due: t0.Add(time.Hour), Attempts: 4, First: t0, Last: t0.Add(time.Minute),
	LastReply: "451 later", LastHost: "mx.y.test", Warned: true, Quoted: true, Late: true, Priority: 9, Via: "smart.test:587", place: place{laneLater, 77},
}

func TestRowsReadBack(t *testing.T) {
	for _, m := range []Message{fullMessage, {ID: mail.ArrivalID{9}, Prefix: []byte{}}} {
		got, err := readMessage(m.ID, encodeMessage(m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v, %v; want %+v", got, err, m)
		}
	}
	for _, d := range []Delivery{fullDelivery, {Message: mail.ArrivalID{9}, N: 3}} {
		got, err := readDelivery(d.Ref(), encodeDelivery(d))
		if err != nil || got != d {
			t.Errorf("%+v, %v; want %+v", got, err, d)
		}
	}
}

func TestIndexReadsBack(t *testing.T) {
	for _, d := range []Delivery{{}, {Priority: -9}, {sender: 1 << 40}, {Via: Direct}, {Priority: 9, sender: 7, Via: "smart.test:587"}} {
		d.To.Domain = "y.test"
		if got, want := readIndex(encodeIndex(d)), (Due{Domain: "y.test", Priority: d.Priority, Sender: d.sender, Via: d.Via}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// TestRowsOfLaterVersions sees that fields which a later version adds are read
// past, and that what is cut is found out.
func TestRowsOfLaterVersions(t *testing.T) {
	b := encodeDelivery(fullDelivery)
	if _, err := readDelivery(fullDelivery.Ref(), append(bytes.Clone(b), 1, 2, 3)); err != nil {
		t.Errorf("a longer row: %v", err)
	}
	for n := range b {
		if _, err := readDelivery(fullDelivery.Ref(), b[:n]); !fault.Is(err, fault.Corrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func FuzzRows(f *testing.F) {
	f.Add(encodeMessage(fullMessage))
	f.Add(encodeDelivery(fullDelivery))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := readDelivery(Ref{}, b); err == nil {
			again, err := readDelivery(Ref{}, encodeDelivery(d))
			if err != nil || again != d {
				t.Errorf("%+v reads back as %+v, %v", d, again, err)
			}
		}
		if m, err := readMessage(mail.ArrivalID{}, b); err == nil {
			again, err := readMessage(mail.ArrivalID{}, encodeMessage(m))
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%+v reads back as %+v, %v", m, again, err)
			}
		}
		_, _, _ = readIndexKey(b, 1, laneNow)
		_, _ = readDeliveryKey(b, 1)
	})
}
