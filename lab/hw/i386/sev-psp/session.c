/*
 * SEV: the keys that a guest's owner sends (SEV API 6.2, LAUNCH_START)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The owner has the platform's PDH, makes a key pair, and so shares a secret
 * with the platform alone. Under keys made of it lie TEK and TIK.
 */

#include "internal.h"

#include <string.h>

PspStatus psp_session_open(Psp *psp, PspGuest *guest,
                           const SevCertificate *owner,
                           const SevSession *session)
{
    uint8_t shared[48], master[16], kek[16], kik[16], keys[32], mac[32];
    uint32_t policy = guest->policy;

    psp_certificates_need(psp);
    if (owner->version != 1 || owner->usage != SEV_USAGE_PDH ||
        (owner->algorithm != SEV_ALGORITHM_ECDH_SHA256 &&
         owner->algorithm != SEV_ALGORITHM_ECDH_SHA384) ||
        !psp_ecdh(&psp->pdh.key, &owner->key, shared)) {
        return PSP_INVALID_CERTIFICATE;
    }
    psp_kdf(shared, sizeof(shared), "sev-master-secret", session->nonce,
            sizeof(session->nonce), master, sizeof(master));
    psp_kdf(master, sizeof(master), "sev-kek", NULL, 0, kek, sizeof(kek));
    psp_kdf(master, sizeof(master), "sev-kik", NULL, 0, kik, sizeof(kik));

    psp_hmac_sha256(kik, sizeof(kik), session->wrapped_keys,
                    sizeof(session->wrapped_keys), mac);
    if (memcmp(mac, session->wrap_mac, sizeof(mac)) != 0) {
        return PSP_BAD_MEASUREMENT;
    }
    memcpy(keys, session->wrapped_keys, sizeof(keys));
    psp_aes128_ctr(kek, session->iv, keys, sizeof(keys));
    memcpy(guest->tek, keys, sizeof(guest->tek));
    memcpy(guest->tik, keys + sizeof(guest->tek), sizeof(guest->tik));

    psp_hmac_sha256(guest->tik, sizeof(guest->tik), &policy, sizeof(policy),
                    mac);
    return memcmp(mac, session->policy_mac, sizeof(mac)) == 0
             ? PSP_SUCCESS
             : PSP_BAD_MEASUREMENT;
}
