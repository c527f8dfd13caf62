#!/usr/bin/env bash
# Makes the signed example zones anew: zones/nsec.example.org.zone and zones/nsec3.example.org.zone.
#
# usage: scripts/sign-examples.sh
#
# Needs dnssec-keygen and dnssec-signzone (Debian: bind9-utils). The keys are made in a directory that is removed at the
# end: nobody can sign these zones again, and nothing depends on it. Signatures are valid from 2026 to 2038. Signed
# zones are static: a server that has no key cannot take registrations in them.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

content() {
    cat <<'EOF'
$TTL 1h
@           SOA     ns1 hostmaster 1 4h 1h 2w 15m
            NS      ns1
            NS      ns2.example.net.
            MX      10 mail
            TXT     "signed elsewhere, served as it is"
ns1         A       192.0.2.53
            AAAA    2001:db8::53
mail        A       192.0.2.25
www         A       192.0.2.80
            AAAA    2001:db8::80
alias       CNAME   www
*.wild      A       192.0.2.200
a.b.deep    TXT     "b.deep and deep are empty non-terminals"
old         DNAME   example.net.
; A delegation to a signed zone: DS. Its name server needs glue.
secure      NS      ns.secure
            DS      60485 13 2 2BB183AF5F22588179A53B0A98631FAD1A292118AD5F6A3B4D7F4C0E1A3D9A4E
ns.secure   A       203.0.113.53
; A delegation to a zone without signatures: the absence of DS is proved.
insecure    NS      ns.example.net.
EOF
}

# sign ZONE WHAT OPTION...: keys, signatures, and the text with a heading.
sign() {
    local zone=$1 what=$2 ksk zsk
    shift 2
    content >"$zone"
    ksk=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK "$zone")
    zsk=$(dnssec-keygen -q -a ECDSAP256SHA256 "$zone")
    cat "$ksk.key" "$zsk.key" >>"$zone"
    dnssec-signzone -q -s 20260101000000 -e 20380101000000 -O full -o "$zone" -k "$ksk" "$@" -f signed "$zone" "$zsk" \
        >/dev/null
    {
        echo "; A zone signed elsewhere, $what. Made by scripts/sign-examples.sh; the keys are gone, so it cannot be changed."
        grep -v '^;' signed | tr '\t' ' ' | tr -s ' '
    } >"$root/zones/$zone.zone"
    echo "zones/$zone.zone"
}

sign nsec.example.org "with NSEC"
sign nsec3.example.org "with NSEC3 (RFC 9276: no iterations, no salt, no opt-out)" -3 - -H 0
