/*
 * A machine for the secure processor, made of arrays
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_host.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <nettle/aes.h>

namespace lab {

/* AES with the block's address mixed in before and after. */
static void crypt(const uint8_t *key, bool encrypt, uint64_t spa, uint8_t *data,
                  size_t size)
{
    aes128_ctx aes, tweak_aes;
    aes128_set_encrypt_key(&tweak_aes, key);
    if (encrypt) {
        aes128_set_encrypt_key(&aes, key);
    } else {
        aes128_set_decrypt_key(&aes, key);
    }
    for (size_t i = 0; i < size; i += 16) {
        uint64_t tweak[2] = {spa + i, 0};
        auto *bytes = reinterpret_cast<uint8_t *>(tweak);
        aes128_encrypt(&tweak_aes, 16, bytes, bytes);
        for (int k = 0; k < 16; k++) {
            data[i + k] ^= bytes[k];
        }
        (encrypt ? aes128_encrypt : aes128_decrypt)(&aes, 16, data + i,
                                                    data + i);
        for (int k = 0; k < 16; k++) {
            data[i + k] ^= bytes[k];
        }
    }
}

/* The functions of PspHost. */
struct FakeCalls {
    static FakeHost &of(void *opaque)
    {
        return *static_cast<FakeHost *>(opaque);
    }
    static bool inside(FakeHost &host, uint64_t spa, size_t size)
    {
        return spa % 16 == 0 && size % 16 == 0 && spa <= host.ram.size() &&
               size <= host.ram.size() - spa;
    }
    static bool read(void *opaque, uint64_t spa, void *data, size_t size)
    {
        FakeHost &host = of(opaque);
        if (!inside(host, spa, size)) {
            return false;
        }
        memcpy(data, &host.ram[spa], size);
        return true;
    }
    static bool write(void *opaque, uint64_t spa, const void *data, size_t size)
    {
        FakeHost &host = of(opaque);
        if (!inside(host, spa, size)) {
            return false;
        }
        memcpy(&host.ram[spa], data, size);
        return true;
    }
    static bool decrypt(void *opaque, const uint8_t *vek, uint64_t spa,
                        void *data, size_t size)
    {
        if (!read(opaque, spa, data, size)) {
            return false;
        }
        crypt(vek, false, spa, static_cast<uint8_t *>(data), size);
        return true;
    }
    static bool encrypt(void *opaque, const uint8_t *vek, uint64_t spa,
                        const void *data, size_t size)
    {
        if (!write(opaque, spa, data, size)) {
            return false;
        }
        crypt(vek, true, spa, &of(opaque).ram[spa], size);
        return true;
    }
    static bool seal_vmsa(void *opaque, const uint8_t *vek, uint64_t spa,
                          const void *vmsa)
    {
        auto *bytes = static_cast<const uint8_t *>(vmsa);
        of(opaque).vmsas[spa].assign(bytes, bytes + 4096);
        return encrypt(opaque, vek, spa, vmsa, 4096);
    }
    static void key_install(void *opaque, uint32_t asid, const uint8_t *vek)
    {
        std::copy_n(vek, PSP_KEY_SIZE, of(opaque).keys[asid].begin());
    }
    static void key_remove(void *opaque, uint32_t asid)
    {
        of(opaque).keys.erase(asid);
        of(opaque).dirty.insert(asid);
        of(opaque).written_back = false;
    }
    static bool written_back(void *opaque) { return of(opaque).written_back; }
    static void df_flush(void *opaque) { of(opaque).dirty.clear(); }
    static bool asid_needs_flush(void *opaque, uint32_t asid)
    {
        return of(opaque).dirty.contains(asid);
    }
    static bool snp_enabled(void *opaque) { return of(opaque).snp_enabled; }
    static bool rmp_range(void *opaque, uint64_t *base, uint64_t *end)
    {
        FakeHost &host = of(opaque);
        *base = host.ram.size() - 0x100000; /* the last MiB */
        *end = host.ram.size() - 1;
        return host.rmp_alike;
    }
    static void rmp_clear(void *opaque) { of(opaque).rmp_.clear(); }
    static void rmp_enforce(void *opaque, bool on) { of(opaque).enforced = on; }
    static bool rmp_get(void *opaque, uint64_t spa, PspRmp *entry)
    {
        FakeHost &host = of(opaque);
        if (spa >= host.ram.size()) {
            return false;
        }
        *entry = host.rmp(spa);
        return true;
    }
    static bool rmp_set(void *opaque, uint64_t spa, const PspRmp *entry)
    {
        FakeHost &host = of(opaque);
        if (spa >= host.ram.size()) {
            return false;
        }
        host.rmp(spa) = *entry;
        return true;
    }
    static void cpuid(void *opaque, uint32_t, uint32_t, uint32_t out[4])
    {
        std::ranges::copy(of(opaque).cpuid, out);
    }
    /* The same each time: a test can be run again. */
    static void random(void *opaque, void *data, size_t size)
    {
        FakeHost &host = of(opaque);
        auto *bytes = static_cast<uint8_t *>(data);
        for (size_t i = 0; i < size; i++) {
            host.random_ = host.random_ * 6364136223846793005u +
                           1442695040888963407u;
            bytes[i] = static_cast<uint8_t>(host.random_ >> 56);
        }
    }
    static void log(void *opaque, const char *fields)
    {
        of(opaque).log.emplace_back(fields);
    }
};

/* Pages that nobody touches cost nothing so. */
FakeHost::FakeHost(size_t ram_size)
    : ram(static_cast<uint8_t *>(calloc(1, ram_size)), ram_size)
{}

FakeHost::~FakeHost()
{
    free(ram.data());
}

PspHost FakeHost::interface()
{
    return {this,
            FakeCalls::read,
            FakeCalls::write,
            FakeCalls::decrypt,
            FakeCalls::encrypt,
            FakeCalls::seal_vmsa,
            FakeCalls::key_install,
            FakeCalls::key_remove,
            FakeCalls::written_back,
            FakeCalls::df_flush,
            FakeCalls::asid_needs_flush,
            FakeCalls::snp_enabled,
            FakeCalls::rmp_range,
            FakeCalls::rmp_clear,
            FakeCalls::rmp_enforce,
            FakeCalls::rmp_get,
            FakeCalls::rmp_set,
            FakeCalls::cpuid,
            FakeCalls::random,
            FakeCalls::log};
}

std::vector<uint8_t> FakeHost::at(uint64_t spa, size_t size) const
{
    return {ram.begin() + static_cast<ptrdiff_t>(spa),
            ram.begin() + static_cast<ptrdiff_t>(spa + size)};
}

void FakeHost::put(uint64_t spa, Bytes bytes)
{
    std::ranges::copy(bytes, ram.begin() + static_cast<ptrdiff_t>(spa));
}

std::vector<uint8_t> FakeHost::seen_by(uint32_t asid, uint64_t spa, size_t size)
{
    auto bytes = at(spa, size);
    crypt(keys.at(asid).data(), false, spa, bytes.data(), size);
    return bytes;
}

bool FakeHost::logged(const std::string &words) const
{
    return std::ranges::any_of(log, [&words](const std::string &line) {
        return line.find(words) != std::string::npos;
    });
}

} // namespace lab
