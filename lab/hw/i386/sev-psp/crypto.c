/*
 * The cryptography of the secure processor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "crypto.h"

#include <string.h>

#include <glib.h>

#include <nettle/bignum.h>
#include <nettle/ctr.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/gcm.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>

struct PspSha256 {
    struct sha256_ctx context;
};

PspSha256 *psp_sha256_new(void)
{
    PspSha256 *hash = g_new0(PspSha256, 1);
    sha256_init(&hash->context);
    return hash;
}

void psp_sha256_update(PspSha256 *hash, const void *data, size_t size)
{
    sha256_update(&hash->context, size, data);
}

void psp_sha256_value(const PspSha256 *hash, uint8_t value[32])
{
    struct sha256_ctx copy = hash->context;
    sha256_digest(&copy, 32, value);
}

void psp_sha256(const void *data, size_t size, uint8_t value[32])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, data);
    sha256_digest(&context, 32, value);
}

void psp_sha384(const void *data, size_t size, uint8_t value[48])
{
    struct sha384_ctx context;
    sha384_init(&context);
    sha384_update(&context, size, data);
    sha384_digest(&context, 48, value);
}

void psp_hmac_sha256(const void *key, size_t key_size, const void *data,
                     size_t size, uint8_t value[32])
{
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, key_size, key);
    hmac_sha256_update(&context, size, data);
    hmac_sha256_digest(&context, 32, value);
}

void psp_kdf(const void *key, size_t key_size, const char *label,
             const void *context, size_t context_size, uint8_t *value,
             size_t size)
{
    uint32_t bits = size * 8;
    for (uint32_t i = 1; size; i++) {
        struct hmac_sha256_ctx hmac;
        size_t part = MIN(size, 32);
        hmac_sha256_set_key(&hmac, key_size, key);
        hmac_sha256_update(&hmac, sizeof(i), (uint8_t *)&i);
        /* The label with the zero that ends it. */
        hmac_sha256_update(&hmac, strlen(label) + 1, (const uint8_t *)label);
        hmac_sha256_update(&hmac, context_size, context);
        hmac_sha256_update(&hmac, sizeof(bits), (uint8_t *)&bits);
        hmac_sha256_digest(&hmac, part, value);
        value += part;
        size -= part;
    }
}

void psp_aes128_ctr(const uint8_t key[16], const uint8_t iv[16], void *data,
                    size_t size)
{
    struct aes128_ctx aes;
    uint8_t counter[16];
    memcpy(counter, iv, sizeof(counter));
    aes128_set_encrypt_key(&aes, key);
    ctr_crypt(&aes, (nettle_cipher_func *)aes128_encrypt, AES_BLOCK_SIZE,
              counter, size, data, data);
}

void psp_gcm_seal(const uint8_t key[32], const uint8_t iv[12], const void *aad,
                  size_t aad_size, void *data, size_t size, uint8_t tag[16])
{
    struct gcm_aes256_ctx gcm;
    gcm_aes256_set_key(&gcm, key);
    gcm_aes256_set_iv(&gcm, 12, iv);
    gcm_aes256_update(&gcm, aad_size, aad);
    gcm_aes256_encrypt(&gcm, size, data, data);
    gcm_aes256_digest(&gcm, 16, tag);
}

bool psp_gcm_open(const uint8_t key[32], const uint8_t iv[12], const void *aad,
                  size_t aad_size, void *data, size_t size,
                  const uint8_t tag[16])
{
    struct gcm_aes256_ctx gcm;
    uint8_t expected[16];
    gcm_aes256_set_key(&gcm, key);
    gcm_aes256_set_iv(&gcm, 12, iv);
    gcm_aes256_update(&gcm, aad_size, aad);
    gcm_aes256_decrypt(&gcm, size, data, data);
    gcm_aes256_digest(&gcm, 16, expected);
    return memcmp(expected, tag, 16) == 0;
}

/* n of P-384: secret keys are 1 to n - 1 */
static const char order[] = "ffffffffffffffffffffffffffffffffffffffffffffffff"
                            "c7634d81f4372ddf581a0db248b0a77aecec196accc52973";

static void get_number(const mpz_t number, uint8_t bytes[48])
{
    nettle_mpz_get_str_256(48, bytes, number);
}

static void copy_reversed(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = from[size - 1 - i];
    }
}

/* A number of 72 little-endian bytes; what is above 48 makes it invalid. */
static void set_number(mpz_t number, const uint8_t bytes[72])
{
    uint8_t big[72];
    copy_reversed(big, bytes, sizeof(big));
    nettle_mpz_set_str_256_u(number, sizeof(big), big);
}

static void set_secret(struct ecc_scalar *scalar, const PspKeyPair *pair)
{
    mpz_t number;
    nettle_mpz_init_set_str_256_u(number, 48, pair->secret);
    ecc_scalar_init(scalar, nettle_get_secp_384r1());
    ecc_scalar_set(scalar, number);
    mpz_clear(number);
}

static bool set_point(struct ecc_point *point, const PspPublicKey *key)
{
    mpz_t x, y;
    bool good = key->curve == PSP_CURVE_P384;
    mpz_init(x);
    mpz_init(y);
    set_number(x, key->x);
    set_number(y, key->y);
    ecc_point_init(point, nettle_get_secp_384r1());
    good = good && ecc_point_set(point, x, y);
    mpz_clear(x);
    mpz_clear(y);
    return good;
}

void psp_key_of(PspKeyPair *pair, const uint8_t seed[64])
{
    struct ecc_scalar scalar;
    struct ecc_point point;
    mpz_t number, n, x, y;

    nettle_mpz_init_set_str_256_u(number, 64, seed);
    mpz_init_set_str(n, order, 16);
    mpz_sub_ui(n, n, 1);
    mpz_mod(number, number, n);
    mpz_add_ui(number, number, 1);
    get_number(number, pair->secret);

    set_secret(&scalar, pair);
    ecc_point_init(&point, nettle_get_secp_384r1());
    ecc_point_mul_g(&point, &scalar);
    mpz_init(x);
    mpz_init(y);
    ecc_point_get(&point, x, y);
    get_number(x, pair->x);
    get_number(y, pair->y);

    mpz_clear(x);
    mpz_clear(y);
    mpz_clear(n);
    mpz_clear(number);
    ecc_point_clear(&point);
    ecc_scalar_clear(&scalar);
}

void psp_key_public(const PspKeyPair *pair, PspPublicKey *key)
{
    memset(key, 0, sizeof(*key));
    key->curve = PSP_CURVE_P384;
    copy_reversed(key->x, pair->x, 48);
    copy_reversed(key->y, pair->y, 48);
}

bool psp_ecdh(const PspKeyPair *pair, const PspPublicKey *key,
              uint8_t secret[48])
{
    struct ecc_scalar scalar;
    struct ecc_point point, shared;
    bool good = set_point(&point, key);

    if (good) {
        mpz_t x, y;
        set_secret(&scalar, pair);
        ecc_point_init(&shared, nettle_get_secp_384r1());
        ecc_point_mul(&shared, &scalar, &point);
        mpz_init(x);
        mpz_init(y);
        ecc_point_get(&shared, x, y);
        get_number(x, secret);
        mpz_clear(x);
        mpz_clear(y);
        ecc_point_clear(&shared);
        ecc_scalar_clear(&scalar);
    }
    ecc_point_clear(&point);
    return good;
}

void psp_sign(const PspKeyPair *pair, PspRandom *random, void *opaque,
              const uint8_t *digest, size_t digest_size, uint8_t r[72],
              uint8_t s[72])
{
    struct ecc_scalar scalar;
    struct dsa_signature signature;
    uint8_t big[48];

    set_secret(&scalar, pair);
    dsa_signature_init(&signature);
    ecdsa_sign(&scalar, opaque, random, digest_size, digest, &signature);
    memset(r, 0, 72);
    memset(s, 0, 72);
    get_number(signature.r, big);
    copy_reversed(r, big, 48);
    get_number(signature.s, big);
    copy_reversed(s, big, 48);
    dsa_signature_clear(&signature);
    ecc_scalar_clear(&scalar);
}

bool psp_verify(const PspPublicKey *key, const uint8_t *digest,
                size_t digest_size, const PspSignature *signature)
{
    struct ecc_point point;
    struct dsa_signature numbers;
    bool good = set_point(&point, key);

    dsa_signature_init(&numbers);
    set_number(numbers.r, signature->r);
    set_number(numbers.s, signature->s);
    good = good && ecdsa_verify(&point, digest_size, digest, &numbers);
    dsa_signature_clear(&numbers);
    ecc_point_clear(&point);
    return good;
}
