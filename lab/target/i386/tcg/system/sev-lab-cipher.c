/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cipher of an emulated AMD host's memory controller: AES-128 in XEX mode,
 * with the address of the page and the block's place in it as the tweak. A text
 * that is moved is noise; one that is put back in its place is the old text.
 */
#include "qemu/osdep.h"
#include "crypto/aes.h"
#include "crypto/aes-round.h"
#include "cpu.h"
#include "sev-lab-cipher.h"

#define ROUNDS SEV_LAB_AES_ROUNDS

static void expand(AESState round_keys[ROUNDS + 1], const uint8_t *key,
                   bool decrypt)
{
    AES_KEY expanded;

    if (decrypt) {
        AES_set_decrypt_key(key, 128, &expanded);
    } else {
        AES_set_encrypt_key(key, 128, &expanded);
    }
    for (int i = 0; i <= ROUNDS; i++) {
        for (int j = 0; j < 4; j++) {
            round_keys[i].w[j] = cpu_to_be32(expanded.rd_key[4 * i + j]);
        }
    }
}

void sev_lab_cipher_init(SevLabCipher *cipher,
                         const uint8_t vek[SEV_LAB_KEY_SIZE])
{
    static const uint8_t label[SEV_LAB_BLOCK] = "tweak of a page";
    uint8_t tweak[SEV_LAB_BLOCK];
    AES_KEY expanded;

    expand(cipher->encrypt, vek, false);
    expand(cipher->decrypt, vek, true);
    AES_set_encrypt_key(vek, 128, &expanded);
    AES_encrypt(label, tweak, &expanded);
    expand(cipher->tweak, tweak, false);
}

static void aes_encrypt(const AESState *round_keys, AESState *block)
{
    block->v ^= round_keys[0].v;
    for (int i = 1; i < ROUNDS; i++) {
        aesenc_SB_SR_MC_AK(block, block, &round_keys[i], false);
    }
    aesenc_SB_SR_AK(block, block, &round_keys[ROUNDS], false);
}

static void aes_decrypt(const AESState *round_keys, AESState *block)
{
    block->v ^= round_keys[0].v;
    for (int i = 1; i < ROUNDS; i++) {
        aesdec_ISB_ISR_IMC_AK(block, block, &round_keys[i], false);
    }
    aesdec_ISB_ISR_AK(block, block, &round_keys[ROUNDS], false);
}

/* The tweak of a page's first block, and then of each next one. */
static AESState first_tweak(const SevLabCipher *cipher, hwaddr page)
{
    AESState tweak = { .d = { cpu_to_le64(page), 0 } };

    aes_encrypt(cipher->tweak, &tweak);
    return tweak;
}

static void next_tweak(AESState *tweak)
{
    uint64_t low = le64_to_cpu(tweak->d[0]), high = le64_to_cpu(tweak->d[1]);

    tweak->d[1] = cpu_to_le64(high << 1 | low >> 63);
    tweak->d[0] = cpu_to_le64(low << 1 ^ (high >> 63 ? 0x87 : 0));
}

/* In place, with its tweak. */
static void translate(const SevLabCipher *cipher, bool encrypt,
                      const AESState *tweak, AESState *block)
{
    block->v ^= tweak->v;
    if (encrypt) {
        aes_encrypt(cipher->encrypt, block);
    } else {
        aes_decrypt(cipher->decrypt, block);
    }
    block->v ^= tweak->v;
}

void sev_lab_cipher_follow(const SevLabCipher *cipher, hwaddr page,
                           bool encrypt, const uint8_t *now, uint8_t *old,
                           uint8_t *other)
{
    AESState tweak;

    if (!memcmp(now, old, SEV_LAB_PAGE)) {
        return;
    }
    tweak = first_tweak(cipher, page);
    for (int at = 0; at < SEV_LAB_PAGE;
         at += SEV_LAB_BLOCK, next_tweak(&tweak)) {
        AESState block;

        if (!memcmp(now + at, old + at, SEV_LAB_BLOCK)) {
            continue;
        }
        memcpy(&block, now + at, SEV_LAB_BLOCK);
        translate(cipher, encrypt, &tweak, &block);
        memcpy(other + at, &block, SEV_LAB_BLOCK);
        memcpy(old + at, now + at, SEV_LAB_BLOCK);
    }
}

void sev_lab_cipher_text(const SevLabCipher *cipher, hwaddr spa, bool encrypt,
                         const uint8_t *in, uint8_t *out, size_t len)
{
    for (size_t done = 0; done < len; done += SEV_LAB_BLOCK) {
        hwaddr at = spa + done;
        AESState tweak = first_tweak(cipher, at & ~(hwaddr)(SEV_LAB_PAGE - 1));
        AESState block;

        for (hwaddr i = 0; i < (at & (SEV_LAB_PAGE - 1)); i += SEV_LAB_BLOCK) {
            next_tweak(&tweak);
        }
        /* On through this page without starting over. */
        for (;; done += SEV_LAB_BLOCK, next_tweak(&tweak)) {
            memcpy(&block, in + done, SEV_LAB_BLOCK);
            translate(cipher, encrypt, &tweak, &block);
            memcpy(out + done, &block, SEV_LAB_BLOCK);
            hwaddr next = spa + done + SEV_LAB_BLOCK;

            if (next == spa + len || !(next & (SEV_LAB_PAGE - 1))) {
                break;
            }
        }
    }
}
