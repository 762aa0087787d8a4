#!/bin/bash
# Postfix + Dovecot from Debian, installed but not started by the system:
# postfix-dovecot.sh start|stop|pids|wipe
# MAIL_FORMAT=maildir|sdbox|mdbox chooses the store. At $BENCH_ADDR: SMTP 2525,
# submission 2587, IMAP 1143, IMAPS 1993, POP3 1110, POP3S 1995; LMTP over a unix
# socket. Both keep their fsync defaults. Needs root.
set -eu
: "${BENCH_DATA:?set BENCH_DATA to a directory on the disk to measure}"
: "${BENCH_USERS:=50}"
: "${BENCH_ADDR:=127.0.0.1}"
: "${MAIL_FORMAT:=maildir}"
DOMAIN=bench.test
PASSWORD=benchpass
mkdir -p "$BENCH_DATA"
chmod 755 "$BENCH_DATA"
D=$BENCH_DATA/postfix-dovecot
P=$D/postfix

# make_cert DIR: a self-signed ECDSA P-256 certificate.
make_cert() {
	[ -f "$1/cert.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout "$1/key.pem" -out "$1/cert.pem" 2>/dev/null
	chmod 644 "$1/key.pem" "$1/cert.pem"
}

# wait_port PORT: until something listens, at most 20 s.
wait_port() {
	for _ in $(seq 200); do
		(exec 3<>"/dev/tcp/$BENCH_ADDR/$1") 2>/dev/null && return
		sleep 0.1
	done
	echo "nothing listens on $BENCH_ADDR:$1" >&2
	return 1
}

# stop_pid FILE: ends the process whose PID is in FILE and waits for it.
stop_pid() {
	[ -f "$1" ] || return 0
	pid=$(tr -d ' ' <"$1")
	kill "$pid" 2>/dev/null || return 0
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
}

configure() {
	mkdir -p "$D/mail" "$D/run" "$D/state" "$P/etc" "$P/queue" "$P/data"
	chown nobody:nogroup "$D/mail"
	chown postfix: "$P/data"
	make_cert "$D"
	hash=$(openssl passwd -6 -salt benchbench "$PASSWORD")
	for i in $(seq "$BENCH_USERS"); do echo "user$i@$DOMAIN:{SHA512-CRYPT}$hash"; done >"$D/users"
	chmod 644 "$D/users"
	for i in $(seq "$BENCH_USERS"); do echo "user$i@$DOMAIN ok"; done >"$P/etc/users"
	case $MAIL_FORMAT in
	maildir) location='maildir:~/Maildir' ;;
	*) location="$MAIL_FORMAT:~/$MAIL_FORMAT" ;;
	esac
	cat >"$D/dovecot.conf" <<-END
		base_dir = $D/run
		state_dir = $D/state
		log_path = $D/dovecot.log
		protocols = imap pop3 lmtp
		listen = $BENCH_ADDR
		ssl = yes
		ssl_cert = <$D/cert.pem
		ssl_key = <$D/key.pem
		disable_plaintext_auth = no
		auth_mechanisms = plain login
		auth_cache_size = 16M
		mail_location = $location
		mail_max_userip_connections = 0
		first_valid_uid = 1
		default_client_limit = 12000
		default_vsz_limit = 1G
		protocol pop3 {
		  mail_max_userip_connections = 0
		}
		namespace inbox {
		  inbox = yes
		}
		passdb {
		  driver = passwd-file
		  args = username_format=%u $D/users
		}
		userdb {
		  driver = static
		  args = uid=nobody gid=nogroup home=$D/mail/%n
		}
		service imap-login {
		  service_count = 0
		  process_min_avail = 2
		  inet_listener imap {
		    port = 1143
		  }
		  inet_listener imaps {
		    port = 1993
		  }
		}
		service pop3-login {
		  service_count = 0
		  process_min_avail = 2
		  inet_listener pop3 {
		    port = 1110
		  }
		  inet_listener pop3s {
		    port = 1995
		  }
		}
		service imap {
		  process_limit = 12000
		}
		service lmtp {
		  process_min_avail = 4
		  unix_listener lmtp {
		    mode = 0666
		  }
		}
		service auth {
		  unix_listener auth-postfix {
		    mode = 0666
		  }
		}
	END
	cat >"$P/etc/main.cf" <<-END
		compatibility_level = 3.6
		queue_directory = $P/queue
		data_directory = $P/data
		maillog_file = $P/log
		maillog_file_prefixes = $P
		myhostname = mx.$DOMAIN
		mydestination =
		inet_interfaces = 127.0.0.1
		inet_protocols = ipv4
		mynetworks = 127.0.0.2/32
		smtpd_peername_lookup = no
		smtp_dns_support_level = disabled
		smtp_host_lookup = native
		relayhost = [$BENCH_ADDR]:2526
		virtual_mailbox_domains = $DOMAIN
		virtual_mailbox_maps = texthash:$P/etc/users
		virtual_transport = lmtp:unix:$D/run/lmtp
		smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
		smtpd_sasl_type = dovecot
		smtpd_sasl_path = $D/run/auth-postfix
		smtpd_tls_security_level = may
		smtpd_tls_chain_files = $D/key.pem, $D/cert.pem
		message_size_limit = 104857600
		mailbox_size_limit = 0
		virtual_mailbox_limit = 0
		in_flow_delay = ${IN_FLOW_DELAY:-1s}
		smtpd_client_connection_count_limit = 0
		minimal_backoff_time = 5s
		maximal_backoff_time = 20s
		queue_run_delay = 5s
	END
	cat >"$P/etc/master.cf" <<-END
		$BENCH_ADDR:2525 inet n - n - - smtpd
		$BENCH_ADDR:2587 inet n - n - - smtpd
		  -o smtpd_sasl_auth_enable=yes
		pickup unix n - n 60 1 pickup
		cleanup unix n - n - 0 cleanup
		qmgr unix n - n 300 1 qmgr
		tlsmgr unix - - n 1000? 1 tlsmgr
		rewrite unix - - n - - trivial-rewrite
		bounce unix - - n - 0 bounce
		defer unix - - n - 0 bounce
		trace unix - - n - 0 bounce
		verify unix - - n - 1 verify
		flush unix n - n 1000? 0 flush
		proxymap unix - - n - - proxymap
		smtp unix - - n - - smtp
		relay unix - - n - - smtp
		error unix - - n - - error
		retry unix - - n - - error
		discard unix - - n - - discard
		lmtp unix - - n - - lmtp
		anvil unix - - n - 1 anvil
		scache unix - - n - 1 scache
		postlog unix-dgram n - n - 1 postlogd
	END
}

start_dovecot() {
	ulimit -n "$(ulimit -Hn)"
	dovecot -c "$D/dovecot.conf"
	wait_port 1143
}

case ${1:-} in
start)
	configure
	start_dovecot
	postfix -c "$P/etc" check 2>/dev/null || true
	postfix -c "$P/etc" start 2>/dev/null
	wait_port 2525
	;;
stop)
	postfix -c "$P/etc" stop 2>/dev/null || true
	stop_pid "$D/run/master.pid"
	;;
pids) echo "$(tr -d ' ' <"$P/queue/pid/master.pid"),$(cat "$D/run/master.pid")" ;;
wipe) rm -rf "$D" ;;
*) echo "usage: $0 start|stop|pids|wipe" >&2; exit 2 ;;
esac
