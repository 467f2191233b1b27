# shellcheck shell=bash
# A little certificate authority for the sample provider's names, on this machine only.

# make_certificates DIR NAME...: DIR/ca.pem, which the clients trust, and DIR/provider.pem with DIR/provider.key.
make_certificates() (
    cd "$1" || exit
    shift
    [[ -s provider.pem ]] && openssl x509 -checkend 86400 -noout -in provider.pem >/dev/null && exit
    umask 077
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -days 365 -subj "/CN=nomiqon quickstart CA" \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -new "${key[@]}" -keyout provider.key -out provider.csr -subj "/CN=sample provider"
    openssl x509 -req -in provider.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -out provider.crt -extfile <(
        printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n'
        printf 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=%s\n' \
            "$(printf ',DNS:%s' "$@" | cut -c2-)")
    mv provider.crt provider.pem   # last: what is there is complete
    rm -f provider.csr
    chmod 644 ca.pem
)
