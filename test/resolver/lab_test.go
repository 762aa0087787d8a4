// Package resolver looks names up from a root of a lab's own, down through zones that
// NSD, Knot and BIND serve and sign, and compares what it finds with unbound.
package resolver

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// The addresses of the lab.
const (
	atRoot    = "127.0.0.10" // NSD: the root, and a zone below it that has no cut of its own to be seen
	atNSD     = "127.0.0.11"
	atKnot    = "127.0.0.12"
	atBIND    = "127.0.0.1" // it listens where the system says that it is
	atNobody  = "127.0.0.14"
	atUnbound = "127.0.0.20"
	atOurs    = "127.0.0.21"

	soon = 20 * time.Second
)

// within runs the test in a network of its own, where port 53 of loopback is free. It
// says whether it is there.
func within(t *testing.T) bool {
	t.Helper()
	const mark = "EKIDEN_LAB"
	if os.Getenv(mark) != "" {
		blackbox.Run(t, "/", "", "ip", "link", "set", "lo", "up")
		return true
	}
	blackbox.Need(t, "unshare", "ip", "nsd", "knotd", "keymgr", "named", "dnssec-keygen", "dnssec-signzone", "unbound", "ldns-keygen", "ldns-signzone", "delv", "drill")
	how := []string{"--net", "--kill-child"}
	if os.Getuid() != 0 {
		how = append(how, "--map-root-user")
	}
	if err := exec.Command("unshare", append(how, "true")...).Run(); err != nil {
		if ln, err := net.Listen("tcp", net.JoinHostPort(atBIND, "53")); err == nil { // then this one will do
			_ = ln.Close()
			return true
		}
		blackbox.Missing(t, "the right to make a network of its own, or to port 53,")
	}
	blackbox.Binary(t) // built here, where there is a network
	cmd := exec.Command("unshare", append(how, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")...)
	cmd.Env = append(os.Environ(), mark+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

type lab struct {
	t   *testing.T
	dir string
	ds  map[string]string // what a parent is to say of a zone

	bare map[string]string // zones that have an unsigned one below them
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) write(name, text string) string {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return l.path(name)
}

func (l *lab) read(name string) string {
	l.t.Helper()
	b, err := os.ReadFile(l.path(name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// start runs a server until the test ends, and waits until it knows a zone.
func (l *lab) start(at, zone string, command ...string) {
	l.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	l.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Kill() })
		<-ended
		late.Stop()
		if l.t.Failed() {
			b := said.String()
			l.t.Logf("the end of what %s said:\n%s", command[0], b[max(0, len(b)-3000):])
		}
	})
	blackbox.Eventually(l.t, soon, command[0]+" serves "+zone, func() bool {
		m := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
		a, err := dns.Exchange(m, net.JoinHostPort(at, "53"))
		return err == nil && a.Rcode == dns.RcodeSuccess && len(a.Answer) > 0
	})
}

// records are what each zone has, whoever serves it.
func records(zone, at string) string {
	return fmt.Sprintf(`$ORIGIN %[1]s
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A %[2]s
@ IN MX 10 mx
mx IN A 192.0.2.1
mx IN AAAA 2001:db8::1
_25._tcp.mx IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
@ IN TXT "v=spf1 mx -all"
big IN TXT %[3]s
*.wild IN TXT "any"
there.wild IN A 192.0.2.9
www IN CNAME mx
away IN CNAME mx.knot.
lost IN CNAME nowhere.nsd.
tree IN DNAME other.%[1]s
leaf.other IN A 192.0.2.7
a.b.c.d IN A 192.0.2.8
bare IN NS ns.bare
ns.bare IN A %[4]s
`, zone, at, strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 8), atNSD)
}

// sign signs a zone by ldns, and gives its digest.
func (l *lab) sign(zone, text, algorithm string, args ...string) {
	l.t.Helper()
	name := strings.TrimSuffix(zone, ".") + ".zone"
	key := strings.TrimSpace(blackbox.Run(l.t, l.dir, "", "ldns-keygen", "-a", algorithm, "-b", "2048", "-k", zone))
	l.write(name, text)
	blackbox.Run(l.t, l.dir, "", "ldns-signzone", append(args, "-f", name+".signed", name, key)...)
	l.ds[zone] = l.read(key + ".ds")
}

// nsd serves the root and all zones that ldns signed, or nobody.
func (l *lab) nsd(zones ...string) {
	conf := fmt.Sprintf("server:\n\tip-address: %s\n\tip-address: %s\n\tusername: \"\"\n\tchroot: \"\"\n\tzonesdir: %q\n\tdatabase: \"\"\n\tpidfile: %q\n\txfrdfile: %q\n\tzonelistfile: %q\n\tserver-count: 1\n\tport: 53\nremote-control:\n\tcontrol-enable: no\n",
		atRoot, atNSD, l.dir, l.path("nsd.pid"), l.path("xfrd.state"), l.path("zone.list"))
	for _, z := range zones {
		file := strings.TrimSuffix(z, ".") + ".zone"
		if _, err := os.Stat(l.path(file + ".signed")); err == nil {
			file += ".signed"
		}
		conf += fmt.Sprintf("zone:\n\tname: %q\n\tzonefile: %q\n", z, file)
	}
	l.start(atRoot, ".", "nsd", "-d", "-c", l.write("nsd.conf", conf))
}

// knot serves a zone that it signs itself, with Ed25519 and NSEC3.
func (l *lab) knot(zone string) {
	l.write("knot.zone", records(zone, atKnot))
	conf := l.write("knot.conf", fmt.Sprintf(`server:
  rundir: %[1]q
  listen: %[2]s@53
database:
  storage: %[1]q
policy:
  - id: lab
    manual: on
    single-type-signing: on
    algorithm: ed25519
    nsec3: on
    nsec3-iterations: 0
zone:
  - domain: %[3]s
    storage: %[1]q
    file: knot.zone
    zonefile-sync: -1
    journal-content: none
    dnssec-signing: on
    dnssec-policy: lab
`, l.dir, atKnot, zone))
	blackbox.Run(l.t, l.dir, "", "keymgr", "-c", conf, zone, "generate", "algorithm=ed25519", "ksk=yes", "zsk=yes")
	l.ds[zone] = blackbox.Run(l.t, l.dir, "", "keymgr", "-c", conf, zone, "ds")
	l.start(atKnot, zone, "knotd", "-c", conf)
}

// bind serves zones that its tools signed, with two keys each; children come first.
func (l *lab) bind(zones ...[2]string) {
	conf := fmt.Sprintf("options {\n\tdirectory %q;\n\tpid-file none;\n\tsession-keyfile none;\n\tlisten-on { %s; };\n\tlisten-on-v6 { none; };\n\trecursion no;\n\tdnssec-validation no;\n\tallow-query { any; };\n\tnotify no;\n\tmanaged-keys-directory %q;\n\tlock-file none;\n};\ncontrols { };\n", l.dir, atBIND, l.dir)
	for i, z := range zones {
		zone, algorithm := z[0], z[1]
		file := strings.TrimSuffix(zone, ".") + ".zone"
		text := records(zone, atBIND)
		for _, c := range zones[:i] {
			if child := c[0]; strings.HasSuffix(child, "."+zone) {
				text += fmt.Sprintf("%[1]s 300 IN NS ns.%[1]s\nns.%[1]s 300 IN A %[2]s\n%[3]s", child, atBIND, l.ds[child])
			}
		}
		l.write(file, text)
		args := []string{"-a", algorithm, "-n", "ZONE"}
		if strings.HasPrefix(algorithm, "RSA") {
			args = append(args, "-b", "2048")
		}
		blackbox.Run(l.t, l.dir, "", "dnssec-keygen", append(args, "-f", "KSK", zone)...)
		blackbox.Run(l.t, l.dir, "", "dnssec-keygen", append(args, zone)...)
		more := []string{"-S", "-o", zone}
		if strings.HasPrefix(algorithm, "RSA") {
			more = append(more, "-3", "-", "-A", "-H", "0") // NSEC3 with opt-out
		}
		blackbox.Run(l.t, l.dir, "", "dnssec-signzone", append(more, file)...)
		l.ds[zone] = l.read("dsset-" + zone)
		conf += fmt.Sprintf("zone %q { type primary; file %q; };\n", zone, file+".signed")
	}
	l.start(atBIND, zones[0][0], "named", "-g", "-c", l.write("named.conf", conf))
}

// unbound looks names up as we do.
func (l *lab) unbound() {
	conf := fmt.Sprintf(`server:
	interface: %s
	access-control: 127.0.0.0/8 allow
	chroot: ""
	username: ""
	pidfile: ""
	directory: %q
	use-syslog: no
	do-ip6: no
	num-threads: 1
	do-not-query-localhost: no
	module-config: "validator iterator"
	root-hints: %q
	trust-anchor-file: %q
	local-zone: "test." nodefault
	qname-minimisation: yes
	harden-below-nxdomain: yes
remote-control:
	control-enable: no
`, atUnbound, l.dir, l.path("hints"), l.path("anchor"))
	l.start(atUnbound, ".", "unbound", "-d", "-c", l.write("unbound.conf", conf))
}

// newLab builds the root and all that is below it.
func newLab(t *testing.T) *lab {
	dir, err := os.MkdirTemp("", "ekiden-lab-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lab{t: t, dir: dir, ds: map[string]string{}, bare: map[string]string{}}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l.sign("nsd.", records("nsd.", atNSD), "RSASHA256", "-n", "-t", "0")
	l.sign("p256.", records("p256.", atNSD), "ECDSAP256SHA256")
	l.sign("expired.", records("expired.", atNSD), "ED25519", "-i", "20200101000000", "-e", "20200201000000")
	l.sign("forged.", records("forged.", atNSD), "ECDSAP256SHA256")
	l.write("forged.zone.signed", strings.Replace(l.read("forged.zone.signed"), "192.0.2.1", "192.0.2.66", 1))
	l.sign("many.", records("many.", atNSD), "ECDSAP256SHA256", "-n", "-t", "200")
	l.write("plain.zone", records("plain.", atNSD))
	l.sign("orphan.", records("orphan.", atNSD), "ECDSAP256SHA256") // without digests at its parent
	l.sign("strange.", records("strange.", atNSD), "ECDSAP256SHA256")
	wrong := strings.Fields(l.ds["nsd."])
	l.ds["strange."] = "strange. 300 IN DS " + strings.Join(wrong[len(wrong)-4:], " ") + "\n"
	for _, z := range []string{"nsd.", "p256.", "plain."} {
		zone := "bare." + z
		l.bare[z] = zone
		l.write(strings.TrimSuffix(zone, ".")+".zone", records(zone, atNSD))
	}
	l.knot("knot.")
	l.bind([2]string{"rsa.bind.", "RSASHA512"}, [2]string{"bind.", "ECDSAP384SHA384"})
	root := "$TTL 300\n. IN SOA ns.root. root. 1 3600 600 86400 60\n. IN NS ns.root.\nns.root. IN A " + atRoot + "\n"
	for zone, at := range map[string]string{
		"nsd.": atNSD, "p256.": atNSD, "expired.": atNSD, "forged.": atNSD, "many.": atNSD, "plain.": atNSD, "orphan.": atNSD, "strange.": atNSD, "knot.": atKnot, "bind.": atBIND, "dead.": atNobody,
	} {
		root += fmt.Sprintf("%[1]s IN NS ns.%[1]s\nns.%[1]s IN A %[2]s\n", zone, at)
		if zone != "orphan." {
			root += l.ds[zone]
		}
	}
	l.rootZone(root)
	l.nsd(".", "nsd.", "p256.", "expired.", "forged.", "many.", "plain.", "orphan.", "strange.", "bare.nsd.", "bare.p256.", "bare.plain.")
	l.write("hints", ". 3600 NS ns.root.\nns.root. 3600 A "+atRoot+"\n")
	l.unbound()
	return l
}

// rootZone signs the root, whose files have a name of their own.
func (l *lab) rootZone(text string) {
	key := strings.TrimSpace(blackbox.Run(l.t, l.dir, "", "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "."))
	l.write(".zone", text)
	blackbox.Run(l.t, l.dir, "", "ldns-signzone", "-o", ".", "-f", ".zone.signed", ".zone", key)
	l.write("anchor", l.read(key+".ds"))
	l.write("key", l.read(key+".key"))
}
