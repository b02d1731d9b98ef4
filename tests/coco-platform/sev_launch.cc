/*
 * The launch of SEV and SEV-ES guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM's part as in Linux 6.12; the firmware's states, checks and the
 * measurement as in AMD's SEV API (55766), chapter 6.
 */

#include "sev.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <sys/random.h>

#include <nettle/aes.h>
#include <nettle/ctr.h>

#include "config.h"
#include "fault.h"
#include "log.h"
#include "user.h"
#include "vmsa.h"

namespace coco {

/* The largest certificate, session or secret that Linux passes on. */
constexpr uint32_t kBlobMax = 16 << 10;

static int check_blob(uint64_t address, uint32_t length)
{
    if (!address || !length || length > kBlobMax) {
        return -EINVAL;
    }
    std::vector<uint8_t> blob(length);
    return copy_in(blob.data(), address, length);
}

static void make_key(std::array<uint8_t, 16> *key, const std::string &wanted)
{
    if (!wanted.empty()) {
        memcpy(key->data(), wanted.data(), key->size());
    } else if (getrandom(key->data(), key->size(), 0) < 0) {
        key->fill(0x5a);
    }
}

int sev_launch_start(const SevCall &call)
{
    SevGuest *sev = call.sev;
    kvm_sev_launch_start start;
    static std::atomic<uint32_t> last_handle = 0;

    if (copy_in(&start, call.data) != 0) {
        return -EFAULT;
    }
    if (start.dh_uaddr) {
        int ret = check_blob(start.dh_uaddr, start.dh_len);
        if (ret != 0) {
            return ret;
        }
    }
    if (start.session_uaddr) {
        int ret = check_blob(start.session_uaddr, start.session_len);
        if (ret != 0) {
            return ret;
        }
    }
    int ret = check_sev_fd(call.sev_fd);
    if (ret == 0) {
        ret = fault_in(call, "LAUNCH_START");
    }
    if (ret != 0) {
        return ret;
    }
    uint32_t major = start.policy >> 16 & 0xff, minor = start.policy >> 24;
    if (major > kFwMajor || (major == kFwMajor && minor > kFwMinor)) {
        return fw_refuses(call, kFwPolicyFailure);
    }
    if (start.handle) {
        return fw_refuses(call, kFwInvalidGuest); /* no key sharing here */
    }
    if (sev->started) {
        return fw_refuses(call, kFwAsidOwned); /* ACTIVATE */
    }
    if (!!(start.policy & kSevPolicyEs) != sev->es) {
        return fw_refuses(call, kFwInvalidAsid); /* ACTIVATE */
    }
    ret = fault_in(call, "ACTIVATE");
    if (ret != 0) {
        return ret;
    }
    start.handle = ++last_handle;
    if (copy_out(call.data, start) != 0) {
        return -EFAULT;
    }
    sev->started = true;
    sev->state = kStateUpdate;
    sev->handle = start.handle;
    sev->policy = start.policy;
    sev->sev_fd = static_cast<int>(call.sev_fd);
    make_key(&sev->tik, config().tik);
    make_key(&sev->tek, config().tek);
    *call.fw_error = kFwSuccess;
    return 0;
}

/* What all later commands ask first. */
static int firmware(const SevCall &call, GuestState state)
{
    int ret = check_sev_fd(static_cast<uint32_t>(call.sev->sev_fd));
    if (ret != 0) {
        return ret;
    }
    if (!call.sev->started) {
        return fw_refuses(call, kFwInvalidGuest);
    }
    if (call.sev->state != state) {
        return fw_refuses(call, kFwInvalidGuestState);
    }
    *call.fw_error = kFwSuccess;
    return 0;
}

int sev_launch_update_data(const SevCall &call)
{
    kvm_sev_launch_update_data update;
    if (copy_in(&update, call.data) != 0) {
        return -EFAULT;
    }
    int ret = sev_pin(*call.sev, update.uaddr, update.len);
    if (ret == 0) {
        ret = firmware(call, kStateUpdate);
    }
    if (ret == 0) {
        ret = fault_in(call, "LAUNCH_UPDATE_DATA", page_up(update.len) / kPage);
    }
    if (ret != 0) {
        return ret == -kStepLost ? 0 : ret;
    }
    if (update.uaddr % 16) {
        return fw_refuses(call, kFwInvalidAddress);
    }
    if (update.len % 16) {
        return fw_refuses(call, kFwInvalidLength);
    }
    call.sev->digest.update(
        {reinterpret_cast<const uint8_t *>(update.uaddr), update.len});
    return call.sev->memory->encrypt(update.uaddr, update.len);
}

int sev_launch_update_vmsa(const SevCall &call)
{
    for (const auto &vcpu : call.vm->vcpus) {
        Vmsa vmsa;
        int ret = take_vmsa(call, vcpu.get(), &vmsa);
        if (ret == 0) {
            ret = firmware(call, kStateUpdate);
        }
        if (ret == 0) {
            ret = fault_in(call, "LAUNCH_UPDATE_VMSA", 1);
        }
        if (ret != 0) {
            return ret;
        }
        call.sev->digest.update(vmsa);
        vcpu->locked = true;
    }
    return 0;
}

/* HMAC(TIK; 4 ‖ API ‖ build ‖ policy ‖ digest ‖ nonce), then the nonce. */
static std::array<uint8_t, 48> measurement(SevGuest *sev)
{
    std::array<uint8_t, 56> input = {4, kFwMajor, kFwMinor, kFwBuild};
    std::array<uint8_t, 48> blob;
    Sha256 digest = sev->digest.value();
    auto policy = static_cast<uint32_t>(sev->policy);

    memcpy(&input[4], &policy, sizeof(policy));
    std::ranges::copy(digest, &input[8]);
    if (getrandom(&input[40], 16, 0) < 0) {
        memset(&input[40], 0x5a, 16);
    }
    sev->measure = hmac_sha256(sev->tik, input);
    std::ranges::copy(sev->measure, blob.begin());
    std::copy_n(&input[40], 16, &blob[32]);
    return blob;
}

int sev_launch_measure(const SevCall &call)
{
    kvm_sev_launch_measure measure;
    if (copy_in(&measure, call.data) != 0) {
        return -EFAULT;
    }
    bool query = !measure.len;
    if (measure.uaddr && measure.len > kBlobMax) {
        return -EINVAL;
    }
    int ret = firmware(call, kStateUpdate);
    if (ret == 0) {
        ret = fault_in(call, "LAUNCH_MEASURE");
    }
    if (ret != 0) {
        return ret;
    }
    constexpr uint32_t kSize = 48;
    if (query || !measure.uaddr || measure.len < kSize) {
        measure.len = kSize;
        if (query && copy_out(call.data, measure) != 0) {
            return -EFAULT;
        }
        return fw_refuses(call, kFwInvalidLength);
    }
    auto blob = measurement(call.sev);
    measure.len = kSize;
    if (copy_out(measure.uaddr, blob) != 0 ||
        copy_out(call.data, measure) != 0) {
        return -EFAULT;
    }
    call.sev->state = kStateSecret;
    log_event("measure", call.vm->number())
        .text("tee", call.sev->tee())
        .hex("digest", call.sev->digest.value())
        .hex("measurement", blob);
    return 0;
}

struct SecretHeader {
    uint32_t flags;
    uint8_t iv[16];
    uint8_t mac[32];
};

/* HMAC(TIK; 1 ‖ flags ‖ IV ‖ lengths ‖ packet ‖ launch measurement) */
static Sha256 secret_mac(const SevGuest &sev, const SecretHeader &header,
                         uint32_t guest_length,
                         const std::vector<uint8_t> &packet)
{
    std::vector<uint8_t> input = {1};
    auto add = [&input](const void *from, size_t size) {
        auto *bytes = static_cast<const uint8_t *>(from);
        input.insert(input.end(), bytes, bytes + size);
    };
    auto packet_length = static_cast<uint32_t>(packet.size());
    add(&header.flags, sizeof(header.flags));
    add(header.iv, sizeof(header.iv));
    add(&guest_length, sizeof(guest_length));
    add(&packet_length, sizeof(packet_length));
    add(packet.data(), packet.size());
    add(sev.measure.data(), sev.measure.size());
    return hmac_sha256(sev.tik, input);
}

int sev_launch_secret(const SevCall &call)
{
    kvm_sev_launch_secret secret;
    SecretHeader header;
    SevGuest *sev = call.sev;

    if (copy_in(&secret, call.data) != 0) {
        return -EFAULT;
    }
    int ret = sev_pin(*call.sev, secret.guest_uaddr, secret.guest_len);
    if (ret != 0) {
        return ret;
    }
    if (!secret.trans_len || secret.trans_len > kBlobMax || !secret.hdr_len ||
        secret.hdr_len > kBlobMax) {
        return -EINVAL;
    }
    std::vector<uint8_t> packet(secret.trans_len);
    if (copy_in(packet.data(), secret.trans_uaddr, packet.size()) != 0) {
        return -EFAULT;
    }
    ret = firmware(call, kStateSecret);
    if (ret == 0) {
        ret = fault_in(call, "LAUNCH_SECRET");
    }
    if (ret != 0) {
        return ret;
    }
    if (secret.hdr_len < sizeof(header) || secret.guest_len % 16 ||
        secret.trans_len != secret.guest_len) {
        return fw_refuses(call, kFwInvalidLength);
    }
    if (secret.guest_uaddr % 16) {
        return fw_refuses(call, kFwInvalidAddress);
    }
    if (copy_in(&header, secret.hdr_uaddr) != 0) {
        return -EFAULT;
    }
    Sha256 mac = secret_mac(*sev, header, secret.guest_len, packet);
    if (memcmp(mac.data(), header.mac, mac.size()) != 0) {
        return fw_refuses(call, kFwBadMeasurement);
    }
    if (header.flags) {
        return fw_refuses(call, kFwUnsupported); /* compressed */
    }
    aes128_ctx aes;
    aes128_set_encrypt_key(&aes, sev->tek.data());
    ctr_crypt(&aes, reinterpret_cast<nettle_cipher_func *>(aes128_encrypt),
              AES_BLOCK_SIZE, header.iv, packet.size(), packet.data(),
              packet.data());
    ret = sev->memory->place(secret.guest_uaddr, packet.data(), packet.size());
    std::ranges::fill(packet, uint8_t(0));
    if (ret == 0) {
        log_event("secret", call.vm->number())
            .number("length", secret.guest_len);
    }
    return ret;
}

int sev_launch_finish(const SevCall &call)
{
    int ret = firmware(call, kStateSecret);
    if (ret == 0) {
        ret = fault_in(call, "LAUNCH_FINISH");
    }
    if (ret != 0) {
        return ret;
    }
    call.sev->state = kStateRunning;
    call.vm->launched = true;
    log_event("launch", call.vm->number())
        .text("tee", call.sev->tee())
        .hex("digest", call.sev->digest.value())
        .number("policy", static_cast<int64_t>(call.sev->policy))
        .number("vcpus", static_cast<int64_t>(call.vm->vcpus.size()))
        .number("asid", call.sev->asid->number());
    return 0;
}

int sev_guest_status(const SevCall &call)
{
    int ret = check_sev_fd(static_cast<uint32_t>(call.sev->sev_fd));
    if (ret != 0) {
        return ret;
    }
    kvm_sev_guest_status status = {call.sev->handle,
                                   static_cast<uint32_t>(call.sev->policy),
                                   call.sev->state};
    *call.fw_error = kFwSuccess;
    return copy_out(call.data, status);
}

/* The report of LAUNCH_MEASURE's digest; its signature is left zero. */
int sev_get_attestation_report(const SevCall &call)
{
    struct {
        uint8_t nonce[16];
        uint64_t uaddr;
        uint32_t len;
        uint32_t pad;
    } input;
    struct {
        uint8_t nonce[16];
        Sha256 digest;
        uint32_t policy;
        uint32_t key_use;
        uint32_t algorithm;
        uint32_t reserved;
        uint8_t signature[144];
    } report = {};

    if (copy_in(&input, call.data) != 0) {
        return -EFAULT;
    }
    int ret = check_sev_fd(call.sev_fd);
    if (ret != 0) {
        return ret;
    }
    if (!call.sev->started) {
        return fw_refuses(call, kFwInvalidGuest);
    }
    bool query = !input.len;
    if (input.len < sizeof(report)) {
        input.len = sizeof(report);
        if (query && copy_out(call.data, input) != 0) {
            return -EFAULT;
        }
        return fw_refuses(call, kFwInvalidLength);
    }
    memcpy(report.nonce, input.nonce, sizeof(report.nonce));
    report.digest = call.sev->digest.value();
    report.policy = static_cast<uint32_t>(call.sev->policy);
    input.len = sizeof(report);
    *call.fw_error = kFwSuccess;
    return copy_out(input.uaddr, report) == 0 ? copy_out(call.data, input)
                                              : -EFAULT;
}

} // namespace coco
