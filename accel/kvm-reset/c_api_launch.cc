/*
 * The C surface: another launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "c_instance.h"

#include "arch.h"
#include "launch_writer.h"

using namespace kvm_reset;

static_assert(int(LaunchSource::Start) == KVM_RESET_LAUNCH_START);
static_assert(int(LaunchSource::Guest) == KVM_RESET_LAUNCH_GUEST);
static_assert(int(LaunchSource::Operator) == KVM_RESET_LAUNCH_OPERATOR);

static Recorder &the_recorder()
{
    return the_generations().recorder();
}

static KvmResetLaunchSource source_of(const OtherLaunchPtr &launch)
{
    return launch ? KvmResetLaunchSource(launch->source)
                  : KVM_RESET_LAUNCH_START;
}

struct KvmResetLaunch {
    OtherLaunch launch;
};

KvmResetLaunch *kvm_reset_launch_of_igvm(const void *bytes, size_t size,
                                         const KvmResetLaunchHost *host,
                                         ::Error **errp)
{
    LaunchHost what{.ram = {},
                    .rom = {host->rom.begin, host->rom.size},
                    .command_line = host->command_line ?: "",
                    .madt = {},
                    .most_bytes = host->most_bytes};

    if (host->madt) {
        auto madt = static_cast<const uint8_t *>(host->madt);
        what.madt.assign(madt, madt + host->madt_size);
    }
    for (size_t i = 0; i < host->ranges; i++) {
        what.ram.push_back({host->ram[i].begin, host->ram[i].size});
    }
    if (!arch() || !arch()->launch_of_igvm) {
        kvm_reset_error_set(errp, "this CPU knows no IGVM", nullptr);
        return nullptr;
    }
    auto made = arch()->launch_of_igvm(
        the_recorder().kernel(), the_recorder().recorded(),
        {static_cast<const uint8_t *>(bytes), size}, what);
    return answer(made, errp) ? new KvmResetLaunch{std::move(*made)} : nullptr;
}

const char *kvm_reset_launch_digest(const KvmResetLaunch *launch)
{
    const std::string &digest = launch->launch.measurement.digest;

    return digest.empty() ? nullptr : digest.c_str();
}

void kvm_reset_launch_free(KvmResetLaunch *launch)
{
    delete launch;
}

void kvm_reset_choose_launch(KvmResetLaunchSource by, KvmResetLaunch *launch,
                             bool once)
{
    OtherLaunchPtr other;

    if (launch) {
        other = std::make_shared<OtherLaunch>(std::move(launch->launch));
        delete launch;
    }
    the_recorder().choose_launch(LaunchSource(by), std::move(other), once);
}

bool kvm_reset_write_launch(::Error **errp)
{
    static auto *writer = new LaunchWriter(the_recorder());
    Result<void> done = writer->write();

    if (!done) {
        the_generations().note_refused_launch(done.error());
    }
    return answer(done, errp);
}

void kvm_reset_launches(KvmResetLaunches *out)
{
    LaunchChoice launches = the_recorder().launches();
    OtherLaunchPtr now = launches.in_place(), next = launches.next();
    auto first = the_recorder().first_measurement();

    *out = {
        .source = source_of(now),
        .digest = now   ? copy_out(now->measurement.digest)
                : first ? copy_out(first->digest)
                        : nullptr,
        .next_source = source_of(next),
        .next_digest = next ? copy_out(next->measurement.digest) : nullptr,
        .next_once = launches.once(),
        .refused = copy_out(the_generations().status().refused_launch),
    };
}

void kvm_reset_launches_free(KvmResetLaunches *launches)
{
    for (char *text :
         {launches->digest, launches->next_digest, launches->refused}) {
        free(text);
    }
    *launches = {};
}
