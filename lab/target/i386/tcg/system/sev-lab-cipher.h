/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cipher of an emulated AMD host's memory controller. */
#ifndef I386_TCG_SEV_LAB_CIPHER_H
#define I386_TCG_SEV_LAB_CIPHER_H

#include "crypto/aes-round.h"
#include "exec/hwaddr.h"
#include "hw/i386/sev-lab.h"

#define SEV_LAB_BLOCK       16
#define SEV_LAB_AES_ROUNDS  10

/* The round keys of one key. */
typedef struct SevLabCipher {
    AESState encrypt[SEV_LAB_AES_ROUNDS + 1];
    AESState decrypt[SEV_LAB_AES_ROUNDS + 1];
    AESState tweak[SEV_LAB_AES_ROUNDS + 1];
} SevLabCipher;

void sev_lab_cipher_init(SevLabCipher *cipher,
                         const uint8_t vek[SEV_LAB_KEY_SIZE]);

/*
 * Where NOW differs from OLD, what is the other text of it goes to OTHER, and
 * OLD becomes NOW. All three are of one page.
 */
void sev_lab_cipher_follow(const SevLabCipher *cipher, hwaddr page,
                           bool encrypt, const uint8_t *now, uint8_t *old,
                           uint8_t *other);

/* LEN bytes at SPA, both whole blocks, from IN to OUT. */
void sev_lab_cipher_text(const SevLabCipher *cipher, hwaddr spa, bool encrypt,
                         const uint8_t *in, uint8_t *out, size_t len);

#endif
