/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cryptography of the secure processor, by nettle: QEMU's own layer has
 * neither ECDSA nor GCM.
 */
#ifndef SEV_PSP_CRYPTO_H
#define SEV_PSP_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

typedef void PspRandom(void *opaque, size_t size, uint8_t *data);

/* A hash that is fed piece by piece. */
typedef struct PspSha256 PspSha256;
PspSha256 *psp_sha256_new(void);
void psp_sha256_update(PspSha256 *hash, const void *data, size_t size);
/* Of all until now; it can be fed on. */
void psp_sha256_value(const PspSha256 *hash, uint8_t value[32]);

void psp_sha256(const void *data, size_t size, uint8_t value[32]);
void psp_sha384(const void *data, size_t size, uint8_t value[48]);
void psp_hmac_sha256(const void *key, size_t key_size, const void *data,
                     size_t size, uint8_t value[32]);
/* NIST SP 800-108 in counter mode with HMAC-SHA256, as SEV API 6.2 has it */
void psp_kdf(const void *key, size_t key_size, const char *label,
             const void *context, size_t context_size, uint8_t *value,
             size_t size);

/* In place; encrypts as well as decrypts. */
void psp_aes128_ctr(const uint8_t key[16], const uint8_t iv[16], void *data,
                    size_t size);
void psp_gcm_seal(const uint8_t key[32], const uint8_t iv[12], const void *aad,
                  size_t aad_size, void *data, size_t size, uint8_t tag[16]);
/* False: it was not sealed so, and DATA is noise. */
bool psp_gcm_open(const uint8_t key[32], const uint8_t iv[12], const void *aad,
                  size_t aad_size, void *data, size_t size,
                  const uint8_t tag[16]);

/* Curve P-384; all numbers big-endian. */
typedef struct PspKeyPair {
    uint8_t secret[48], x[48], y[48];
} PspKeyPair;

/* The key that belongs to 64 bytes which nobody else knows. */
void psp_key_of(PspKeyPair *pair, const uint8_t seed[64]);
void psp_key_public(const PspKeyPair *pair, PspPublicKey *key);
/* The x of the shared point; false if KEY is no point of the curve. */
bool psp_ecdh(const PspKeyPair *pair, const PspPublicKey *key,
              uint8_t secret[48]);
void psp_sign(const PspKeyPair *pair, PspRandom *random, void *opaque,
              const uint8_t *digest, size_t digest_size, uint8_t r[72],
              uint8_t s[72]);
bool psp_verify(const PspPublicKey *key, const uint8_t *digest,
                size_t digest_size, const PspSignature *signature);

#endif
