#!/bin/sh
# sockets.sh DIR: writes a systemd socket unit for each door to DIR. One unit
# carries one name, and the name tells Ekiden which door a socket is.
set -eu
dir=${1:?usage: sockets.sh DIR}
while read -r name port; do
	cat >"$dir/ekiden-$name.socket" <<-END
		[Unit]
		Description=Ekiden: $name, port $port

		[Socket]
		Service=ekiden.service
		FileDescriptorName=$name
		ListenStream=$port
		BindIPv6Only=both

		[Install]
		WantedBy=sockets.target
		RequiredBy=ekiden.service
	END
done <<-END
	smtp 25
	submission 587
	submission_alt 2525
	submissions 465
	pop3 110
	pop3s 995
	imap 143
	imaps 993
	http 80
	https 443
END
echo "systemctl enable $(cd "$dir" && ls ekiden-*.socket | tr '\n' ' ')"
