/*
 * Rebirths at random moments of a VM that is in use by many threads
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads run vCPUs, move slots, assign and take away irqfds and ioeventfds,
 * and change routes, while another has the VM reborn over and over, with and
 * without a spare, and fails now and then.  Seconds: KVM_RESET_SOAK_SECONDS.
 */

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <sys/mman.h>
#include <thread>

#include <gtest/gtest.h>

#include "kvm_guest.h"

using namespace kvm_reset;
using namespace std::chrono_literals;

namespace {

constexpr unsigned vcpus = 2;
constexpr unsigned doorbells = 16;
constexpr unsigned slots = 4;

std::chrono::seconds duration()
{
    const char *given = getenv("KVM_RESET_SOAK_SECONDS");
    return std::chrono::seconds(given ? atoi(given) : 5);
}

/* Keeps ioctls and a rebirth apart, as QEMU's accelerator blocker does. */
class Gate {
public:
    void enter()
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !closed_; });
        inside_++;
    }
    void leave()
    {
        std::unique_lock lock(mutex_);
        inside_--;
        changed_.notify_all();
    }
    /* @kick has those leave who would stay. */
    template <class Kick> void close(Kick kick)
    {
        std::unique_lock lock(mutex_);
        closed_ = true;
        while (inside_) {
            kick();
            changed_.wait_for(lock, 1ms);
        }
    }
    void open()
    {
        std::unique_lock lock(mutex_);
        closed_ = false;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned inside_ = 0;
    bool closed_ = false;
};

size_t count(const char *directory)
{
    std::error_code none;
    return std::distance(std::filesystem::directory_iterator(directory, none),
                         std::filesystem::directory_iterator());
}

size_t kvm_mappings()
{
    std::ifstream maps("/proc/self/maps");
    std::string line;
    size_t found = 0;

    while (std::getline(maps, line)) {
        found += line.contains("kvm");
    }
    return found;
}

/* What a leak would make more of. */
struct Usage {
    size_t fds, mappings, threads;
    bool operator==(const Usage &) const = default;
};

void PrintTo(const Usage &usage, std::ostream *out)
{
    *out << usage.fds << " fds, " << usage.mappings << " mappings, "
         << usage.threads << " threads";
}

/* Signals are only to make KVM_RUN return. */
void ignore_signal(int)
{}

class SoakTest : public ::testing::Test {
protected:
    KvmGuest guest;
    Gate gate;
    std::atomic<bool> over = false;
    std::atomic<uint64_t> generation = 0, rounds = 0, changes = 0;
    std::vector<Doorbell> irqs{doorbells}, doors{doorbells};
    std::vector<bool> irq_is_on = std::vector<bool>(doorbells);
    std::vector<bool> door_is_on = std::vector<bool>(doorbells);
    std::vector<bool> slot_is_on = std::vector<bool>(slots);
    Memory memory{slots * 0x1000};
    std::vector<std::thread> threads;

    void SetUp() override
    {
        SKIP_WITHOUT_KVM();
        struct sigaction action = {};
        action.sa_handler = ignore_signal;
        sigaction(SIGUSR1, &action, nullptr);

        guest.add_memory();
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP), 0);
        for (unsigned id = 0; id < vcpus; id++) {
            guest.add_vcpu(id);
        }
        for (unsigned id = 0; id < vcpus; id++) {
            guest.set_cpuid(guest.vcpus[id], 0x40000100, 0xabcd + id);
            /* A leaf, a store to a doorbell, and what was found. */
            Code code;
            code.store(0xd0000 + 16 * id, 1).cpuid(0x40000100).end();
            std::ranges::copy(code.bytes(), guest.memory(code_of(id)));
        }
    }

    static uint64_t code_of(unsigned id) { return code_at + 0x100 * id; }

    /* A new vCPU begins where its code does. */
    bool set_out(Vcpu &vcpu, unsigned id)
    {
        kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
        kvm_sregs sregs = {};
        kvm_regs regs = {};

        if (guest.ioctl(vcpu.fd, KVM_SET_MP_STATE, &runnable) < 0 ||
            guest.ioctl(vcpu.fd, KVM_GET_SREGS, &sregs) < 0) {
            return false;
        }
        sregs.cs.base = sregs.cs.selector = 0;
        regs.rip = code_of(id);
        regs.rflags = 2;
        return guest.ioctl(vcpu.fd, KVM_SET_SREGS, &sregs) == 0 &&
               guest.ioctl(vcpu.fd, KVM_SET_REGS, &regs) == 0;
    }

    void run_vcpu(unsigned id)
    {
        Vcpu &vcpu = guest.vcpus[id];

        while (!over) {
            gate.enter();
            EXPECT_TRUE(set_out(vcpu, id));
            int ret;
            do {
                ret = guest.ioctl(vcpu.fd, KVM_RUN);
                if (ret == 0 && vcpu.run->exit_reason == KVM_EXIT_IO) {
                    uint32_t found = 0;
                    memcpy(&found,
                           reinterpret_cast<uint8_t *>(vcpu.run) +
                               vcpu.run->io.data_offset,
                           4);
                    EXPECT_EQ(found, 0xabcd + id);
                    rounds++;
                    break;
                }
                /* The doorbell's store, while it is not an ioeventfd. */
            } while (ret == 0 && vcpu.run->exit_reason == KVM_EXIT_MMIO);
            EXPECT_TRUE(ret == 0 || ret == -EINTR || ret == -EAGAIN) << ret;
            gate.leave();
        }
    }

    /* @change says whether the kernel took it. */
    template <class Change> void keep_changing(unsigned seed, Change change)
    {
        std::mt19937 random(seed);

        while (!over) {
            gate.enter();
            changes += change(random);
            gate.leave();
            if (random() % 16 == 0) {
                std::this_thread::sleep_for(
                    std::chrono::microseconds(random() % 500));
            }
        }
    }

    bool flip_slot(std::mt19937 &random)
    {
        unsigned n = random() % slots;
        bool on = slot_is_on[n];

        if (guest.slot(n + 1, 0x80000 + 0x1000 * n, on ? 0 : 0x1000,
                       memory.at(0x1000 * n))) {
            return false;
        }
        slot_is_on[n] = !on;
        return true;
    }

    bool flip_irqfd(std::mt19937 &random)
    {
        unsigned n = random() % doorbells;
        bool on = irq_is_on[n];

        if (guest.irqfd(irqs[n].fd(), n, on ? KVM_IRQFD_FLAG_DEASSIGN : 0)) {
            return false;
        }
        irq_is_on[n] = !on;
        irqs[n].ring();
        return true;
    }

    bool flip_ioeventfd(std::mt19937 &random)
    {
        unsigned n = random() % doorbells;
        bool on = door_is_on[n];

        if (guest.ioeventfd(doors[n].fd(), 0xd0000 + 16 * n, 1,
                            on ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0)) {
            return false;
        }
        door_is_on[n] = !on;
        doors[n].rung();
        return true;
    }

    bool change_routes(std::mt19937 &random)
    {
        std::vector<kvm_irq_routing_entry> routes(doorbells);

        for (unsigned n = 0; n < doorbells; n++) {
            routes[n].gsi = n;
            routes[n].type = KVM_IRQ_ROUTING_IRQCHIP;
            routes[n].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
            routes[n].u.irqchip.pin = random() % 24;
        }
        return guest.route(routes) == 0;
    }

    void start()
    {
        for (unsigned id = 0; id < vcpus; id++) {
            threads.emplace_back([this, id] { run_vcpu(id); });
        }
        auto changer = [this](unsigned seed,
                              bool (SoakTest::*change)(std::mt19937 &)) {
            threads.emplace_back([this, seed, change] {
                keep_changing(seed, [this, change](std::mt19937 &random) {
                    return (this->*change)(random);
                });
            });
        };
        changer(1, &SoakTest::flip_slot);
        changer(2, &SoakTest::flip_irqfd);
        changer(3, &SoakTest::flip_ioeventfd);
        changer(4, &SoakTest::change_routes);
    }

    void stop()
    {
        over = true;
        kick();
        for (std::thread &thread : threads) {
            thread.join();
        }
    }

    /* As QEMU does: the flag for who is about to enter, the signal. */
    void kick()
    {
        for (unsigned id = 0; id < vcpus; id++) {
            __atomic_store_n(&guest.vcpus[id].run->immediate_exit, uint8_t(1),
                             __ATOMIC_RELAXED);
            pthread_kill(threads[id].native_handle(), SIGUSR1);
        }
    }

    void let_enter()
    {
        for (Vcpu &vcpu : guest.vcpus) {
            __atomic_store_n(&vcpu.run->immediate_exit, uint8_t(0),
                             __ATOMIC_RELAXED);
        }
    }

    /* Not so when there is one that follows the changes. */
    bool prepares_spare() const
    {
        return guest.generations.spare().state == SpareState::Preparing;
    }

    Result<Durations> reborn()
    {
        gate.close([this] { kick(); });
        let_enter();
        Result<Durations> done = guest.reset();
        if (done) {
            EXPECT_TRUE(guest.generations.before_run());
        }
        let_enter();
        gate.open();
        return done;
    }

    /* Of a VM that has run: only then does the kernel start a thread for it. */
    Usage usage()
    {
        guest.generations.keep_spare(false);
        guest.generations.drain();
        EXPECT_TRUE(set_out(guest.vcpus[0], 0));
        while (guest.resume(guest.vcpus[0]) == KVM_EXIT_MMIO) {}
        return {open_fds(), kvm_mappings(), count("/proc/self/task")};
    }

    /* What the VM has is what it was given last, by asking for it again. */
    void expect_as_it_was_told()
    {
        for (unsigned n = 0; n < doorbells; n++) {
            EXPECT_EQ(guest.irqfd(irqs[n].fd(), n), irq_is_on[n] ? -EBUSY : 0)
                << n;
            EXPECT_EQ(guest.ioeventfd(doors[n].fd(), 0xd0000 + 16 * n, 1),
                      door_is_on[n] ? -EEXIST : 0)
                << n;
        }
        for (unsigned n = 0; n < slots; n++) {
            /* Nothing to take away is an error. */
            EXPECT_EQ(guest.slot(n + 1, 0x80000 + 0x1000 * n, 0, nullptr),
                      slot_is_on[n] ? 0 : -EINVAL)
                << n;
        }
    }
};

TEST_F(SoakTest, RebirthsAtRandomMomentsLoseAndLeakNothing)
{
    std::mt19937 random(20261123);
    unsigned completed = 0, failed = 0, with_spare = 0;
    bool fails = false; /* the next one */

    guest.registry.add({.name = "fails now and then",
                        .phases = {Phase::NewVm},
                        .run = [&](Phase) -> Result<void> {
                            if (fails) {
                                return fail(EIO, "on purpose");
                            }
                            return {};
                        }});
    ASSERT_EQ(guest.irqfd(irqs[0].fd(), 0), 0);
    ASSERT_EQ(guest.irqfd(irqs[0].fd(), 0, KVM_IRQFD_FLAG_DEASSIGN), 0);
    guest.generations.keep_spare(true);
    ASSERT_TRUE(guest.reset());
    Usage before = usage();

    start();
    /* On a busy machine that may take longer than it should. */
    auto enough = [&] {
        return completed > 10 && failed && with_spare && rounds > 10 &&
               changes > 10;
    };
    auto end = std::chrono::steady_clock::now() + duration();
    auto goes_on = [&] {
        return !HasFailure() && std::chrono::steady_clock::now() <
                                    (enough() ? end : end + 10min);
    };
    while (goes_on()) {
        alarm(600); /* the test may take long, one rebirth may not */
        if (random() % 4 == 0) {
            yield_until([&] { return !prepares_spare(); });
        } else {
            std::this_thread::sleep_for(
                std::chrono::microseconds(random() % 8000));
        }
        if (random() % 16 == 0) {
            guest.generations.keep_spare(random() % 4);
        }
        fails = random() % 8 == 0;
        Result<Durations> done = reborn();
        ASSERT_EQ(bool(done), !fails) << done.error().what;
        (done ? completed : failed)++;
        with_spare += done && done->spare;
    }
    stop();
    let_enter();
    EXPECT_EQ(usage(), before);
    EXPECT_EQ(guest.generations.status().generation, completed + 1);
    EXPECT_GT(completed, 10u);
    EXPECT_GT(failed, 0u);
    EXPECT_GT(with_spare, 0u);
    EXPECT_GT(rounds, 10u);
    EXPECT_GT(changes, 10u);
    expect_as_it_was_told();
    printf("%u rebirths (%u with a spare), %u failed on purpose; %llu rounds "
           "of vCPUs, %llu changes\n",
           completed, with_spare, failed, (unsigned long long)rounds,
           (unsigned long long)changes);
}

} /* namespace */
