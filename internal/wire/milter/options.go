package milter

import (
	"encoding/binary"
	"strings"
)

// Stage is when macros are told.
type Stage uint32

// The stages.
const (
	AtConnect Stage = iota
	AtHelo
	AtMail
	AtRcpt
	AtData
	AtEndBody
	AtEndHeader

	stages = AtEndHeader + 1
)

// Stage is that at which the macros for c are chosen. Those for header fields
// and the body are never told.
func (c Command) Stage() (Stage, bool) {
	switch c {
	case Connect:
		return AtConnect, true
	case Helo:
		return AtHelo, true
	case Mail:
		return AtMail, true
	case Rcpt:
		return AtRcpt, true
	case Data:
		return AtData, true
	case EndHeader:
		return AtEndHeader, true
	case EndBody:
		return AtEndBody, true
	}
	return 0, false
}

// Options are what both sides agree on.
type Options struct {
	Version  uint32
	Actions  Actions
	Protocol Protocol
	// Macros are those that the milter asked for at each stage. A stage that is
	// missing has those that the server chooses.
	Macros map[Stage][]string
}

// Offer is what we say first: all that we can do.
func Offer() []byte {
	b := binary.BigEndian.AppendUint32(nil, Version)
	b = binary.BigEndian.AppendUint32(b, uint32(AllActions))
	return binary.BigEndian.AppendUint32(b, uint32(Offered))
}

// ParseOptions reads what a milter answers to the offer. One that wants what was
// not offered cannot be spoken with.
func ParseOptions(data []byte) (Options, error) {
	if len(data) < 12 {
		return Options{}, syntax("%d octets of options", len(data))
	}
	o := Options{
		Version: binary.BigEndian.Uint32(data), Actions: Actions(binary.BigEndian.Uint32(data[4:])),
		Protocol: Protocol(binary.BigEndian.Uint32(data[8:])),
	}
	data = data[12:]
	switch {
	case o.Version < MinVersion || o.Version > Version:
		return o, syntax("version %d", o.Version)
	case o.Actions&^AllActions != 0:
		return o, syntax("actions %#x", uint32(o.Actions))
	case o.Protocol&^Offered != 0:
		return o, syntax("protocol steps %#x", uint32(o.Protocol))
	}
	for len(data) > 0 {
		if len(data) < 4 {
			return o, syntax("a list of macros without its stage")
		}
		at := Stage(binary.BigEndian.Uint32(data))
		list, rest, ok := cut(data[4:])
		if !ok || at >= stages {
			return o, syntax("a list of macros for stage %d", at)
		}
		if o.Macros == nil {
			o.Macros = map[Stage][]string{}
		}
		o.Macros[at] = strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
		data = rest
	}
	return o, nil
}
