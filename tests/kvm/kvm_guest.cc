/*
 * A small guest on the machine's KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "kvm_guest.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

using namespace kvm_reset;

std::string no_kvm()
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (kvm < 0) {
        return format("/dev/kvm cannot be opened: %s", strerror(errno));
    }
    int vm = ::ioctl(kvm, KVM_CREATE_VM, 0);
    std::string why;
    if (vm < 0) {
        why = format("/dev/kvm makes no VM: %s", strerror(errno));
    } else {
        close(vm);
    }
    close(kvm);
    return why;
}

/* --- FailingKernel -------------------------------------------------------- */

void FailingKernel::fail(unsigned nth, int code)
{
    countdown_ = nth;
    code_ = code;
    failed_ = false;
}

bool FailingKernel::refuses()
{
    if (countdown_ && --countdown_ == 0) {
        failed_ = true;
        return true;
    }
    return false;
}

int FailingKernel::open_kvm()
{
    return refuses() ? -code_ : real_->open_kvm();
}

int FailingKernel::placeholder()
{
    return refuses() ? -code_ : real_->placeholder();
}

int FailingKernel::ioctl(int fd, uint32_t request, uintptr_t arg)
{
    if (before_ioctl) {
        before_ioctl(fd, request);
    }
    return refuses() ? -code_ : real_->ioctl(fd, request, arg);
}

int FailingKernel::mmap(void *addr, size_t length, int prot, int flags, int fd,
                        int64_t offset, void **mapping)
{
    return refuses()
             ? -code_
             : real_->mmap(addr, length, prot, flags, fd, offset, mapping);
}

int FailingKernel::munmap(void *addr, size_t length)
{
    return refuses() ? -code_ : real_->munmap(addr, length);
}

int FailingKernel::dup(int fd)
{
    return refuses() ? -code_ : real_->dup(fd);
}

int FailingKernel::dup_onto(int from, int onto)
{
    return refuses() ? -code_ : real_->dup_onto(from, onto);
}

/* --- Memory --------------------------------------------------------------- */

Memory::Memory(size_t size) : size_(size)
{
    bytes_ = static_cast<uint8_t *>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
}

Memory::Memory(Memory &&other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), size_(other.size_)
{}

Memory::~Memory()
{
    if (bytes_) {
        munmap(bytes_, size_);
    }
}

/* --- KvmGuest ------------------------------------------------------------- */

KvmGuest::KvmGuest(unsigned long type)
{
    kvm = kernel.open_kvm();
    vm = ioctl(kvm, KVM_CREATE_VM, type);
    run_size_ = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE);
}

KvmGuest::~KvmGuest()
{
    for (Vcpu &vcpu : vcpus) {
        recorder.munmap(vcpu.run, run_size_);
        recorder.close(vcpu.fd);
    }
    if (vm >= 0) {
        recorder.close(vm);
    }
    recorder.close(kvm);
}

int KvmGuest::enable_cap(int fd, uint32_t cap, uint64_t arg)
{
    kvm_enable_cap what = {};
    what.cap = cap;
    what.args[0] = arg;
    return ioctl(fd, KVM_ENABLE_CAP, &what);
}

void KvmGuest::add_memory()
{
    memory_ = std::make_unique<Memory>(0x10000);
    ASSERT_EQ(slot(0, 0, memory_->size(), memory_->at()), 0);
}

Vcpu &KvmGuest::add_vcpu(unsigned id)
{
    Vcpu vcpu;

    vcpu.fd = ioctl(vm, KVM_CREATE_VCPU, id);
    EXPECT_GE(vcpu.fd, 0) << strerror(-vcpu.fd);
    void *run = nullptr;
    EXPECT_EQ(recorder.mmap(nullptr, run_size_, PROT_READ | PROT_WRITE,
                            MAP_SHARED, vcpu.fd, 0, &run),
              0);
    vcpu.run = static_cast<kvm_run *>(run);
    vcpus.push_back(vcpu);
    return vcpus.back();
}

int KvmGuest::slot(uint32_t id, uint64_t gpa, uint64_t size,
                   const uint8_t *host, uint32_t flags)
{
    kvm_userspace_memory_region region = {};
    region.slot = id;
    region.flags = flags;
    region.guest_phys_addr = gpa;
    region.memory_size = size;
    region.userspace_addr = uint64_t(host);
    return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

bool KvmGuest::raised(unsigned line)
{
    kvm_irqchip chip = {};

    chip.chip_id = KVM_IRQCHIP_PIC_MASTER;
    EXPECT_EQ(ioctl(vm, KVM_GET_IRQCHIP, &chip), 0);
    return chip.chip.pic.irr & 1 << line;
}

int KvmGuest::irqfd(int fd, uint32_t gsi, uint32_t flags)
{
    kvm_irqfd what = {};
    what.fd = fd;
    what.gsi = gsi;
    what.flags = flags;
    return ioctl(vm, KVM_IRQFD, &what);
}

int KvmGuest::ioeventfd(int fd, uint64_t addr, uint32_t len, uint32_t flags,
                        uint64_t match)
{
    kvm_ioeventfd what = {};
    what.fd = fd;
    what.addr = addr;
    what.len = len;
    what.flags = flags;
    what.datamatch = match;
    return ioctl(vm, KVM_IOEVENTFD, &what);
}

int KvmGuest::route(const std::vector<kvm_irq_routing_entry> &routes)
{
    auto table = flexible<kvm_irq_routing>(routes.size(),
                                           sizeof(kvm_irq_routing_entry));
    table->nr = routes.size();
    std::ranges::copy(routes, table->entries);
    return ioctl(vm, KVM_SET_GSI_ROUTING, table.get());
}

int KvmGuest::set_cpuid(Vcpu &vcpu, uint32_t extra_leaf, uint32_t value)
{
    constexpr unsigned room = 256;
    auto cpuid = flexible<kvm_cpuid2>(room, sizeof(kvm_cpuid_entry2));
    cpuid->nent = room;
    int ret = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid.get());
    if (ret < 0) {
        return ret;
    }
    if (extra_leaf) {
        kvm_cpuid_entry2 &entry = cpuid->entries[cpuid->nent++];
        entry = {};
        entry.function = extra_leaf;
        entry.eax = value;
    }
    return ioctl(vcpu.fd, KVM_SET_CPUID2, cpuid.get());
}

uint32_t KvmGuest::run(Vcpu &vcpu, const Code &code)
{
    kvm_sregs sregs = {};
    kvm_regs regs = {};

    std::ranges::copy(code.bytes(), memory_->at(code_at));
    EXPECT_EQ(ioctl(vcpu.fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    EXPECT_EQ(ioctl(vcpu.fd, KVM_SET_SREGS, &sregs), 0);
    regs.rip = code_at;
    regs.rflags = 2;
    EXPECT_EQ(ioctl(vcpu.fd, KVM_SET_REGS, &regs), 0);
    return resume(vcpu);
}

uint32_t KvmGuest::resume(Vcpu &vcpu)
{
    int ret;

    do {
        ret = ioctl(vcpu.fd, KVM_RUN);
    } while (ret == -EINTR || ret == -EAGAIN);
    EXPECT_EQ(ret, 0) << strerror(-ret);
    return vcpu.run->exit_reason;
}

uint32_t KvmGuest::report(Vcpu &vcpu, const Code &code)
{
    uint32_t reason = run(vcpu, code);
    uint32_t result = 0;

    EXPECT_EQ(reason, uint32_t(KVM_EXIT_IO));
    if (reason == KVM_EXIT_IO) {
        EXPECT_EQ(vcpu.run->io.port, Code::end_port);
        memcpy(&result,
               reinterpret_cast<uint8_t *>(vcpu.run) + vcpu.run->io.data_offset,
               std::min<size_t>(4, vcpu.run->io.size));
    }
    return result;
}

void KvmGuest::reborn()
{
    Result<Durations> done = reset();
    ASSERT_TRUE(done) << done.error().what;
}

Result<Durations> KvmGuest::move()
{
    Result<void> ready = preserve.prepare();
    if (!ready) {
        return std::unexpected(ready.error());
    }
    Result<Durations> done = preserve.run();
    generations.release_old_vm();
    return done;
}

/* --- Doorbell ------------------------------------------------------------- */

Doorbell::Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))
{}

Doorbell::~Doorbell()
{
    if (fd_ >= 0) {
        close(fd_);
    }
}

void Doorbell::ring() const
{
    uint64_t one = 1;
    EXPECT_EQ(write(fd_, &one, sizeof(one)), ssize_t(sizeof(one)));
}

uint64_t Doorbell::rung() const
{
    uint64_t count = 0;
    return read(fd_, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* --- Reading back --------------------------------------------------------- */

std::vector<uint32_t> feature_msrs(KvmGuest &guest)
{
    auto list = flexible<kvm_msr_list>(1024, 4);
    list->nmsrs = 1024;
    if (guest.ioctl(guest.kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, list.get()) <
        0) {
        return {};
    }
    return {list->indices, list->indices + list->nmsrs};
}

namespace {

template <class T> std::vector<uint8_t> bytes_of(const T &what)
{
    auto from = reinterpret_cast<const uint8_t *>(&what);
    return {from, from + sizeof(T)};
}

/* The answer of a GET ioctl; the errno where it fails. */
template <class T>
void read_one(KvmGuest &guest, Readings &all, const std::string &name, int fd,
              unsigned long request, T initial = {})
{
    int ret = guest.ioctl(fd, request, &initial);
    all[name] = ret < 0 ? bytes_of(ret) : bytes_of(initial);
}

void read_pit(KvmGuest &guest, Readings &all)
{
    kvm_pit_state2 pit = {};
    int ret = guest.ioctl(guest.vm, KVM_GET_PIT2, &pit);

    for (kvm_pit_channel_state &channel : pit.channels) {
        channel.count_load_time = 0; /* when it was made */
    }
    all["PIT2"] = ret < 0 ? bytes_of(ret) : bytes_of(pit);
}

void read_vm(KvmGuest &guest, Readings &all)
{
    for (uint32_t chip = 0; chip < 3; chip++) {
        kvm_irqchip irqchip = {};
        irqchip.chip_id = chip;
        read_one(guest, all, format("IRQCHIP %u", chip), guest.vm,
                 KVM_GET_IRQCHIP, irqchip);
    }
    read_pit(guest, all);
    kvm_clock_data clock = {};
    guest.ioctl(guest.vm, KVM_GET_CLOCK, &clock);
    all["CLOCK flags"] = bytes_of(clock.flags);
    all["VM TSC_KHZ"] = bytes_of(guest.ioctl(guest.vm, KVM_GET_TSC_KHZ));
    all["NR_MMU_PAGES"] = bytes_of(guest.ioctl(guest.vm, KVM_GET_NR_MMU_PAGES));
    for (int cap = 0; cap < 300; cap++) {
        all[format("CHECK_EXTENSION %d", cap)] = bytes_of(guest.has(cap));
    }
}

void read_msrs(KvmGuest &guest, Readings &all, const std::string &who, int fd)
{
    std::vector<uint32_t> indices = feature_msrs(guest);
    indices.push_back(0x179); /* MCG_CAP: what KVM_X86_SETUP_MCE says */

    for (uint32_t index : indices) {
        auto one = flexible<kvm_msrs>(1, sizeof(kvm_msr_entry));
        one->nmsrs = 1;
        one->entries[0].index = index;
        int ret = guest.ioctl(fd, KVM_GET_MSRS, one.get());
        all[who + format("MSR %#x", index)] = ret == 1
                                                ? bytes_of(one->entries[0].data)
                                                : bytes_of(ret);
    }
}

void read_vcpu(KvmGuest &guest, Readings &all, const std::string &who, int fd)
{
    auto cpuid = flexible<kvm_cpuid2>(256, sizeof(kvm_cpuid_entry2));
    cpuid->nent = 256;
    guest.ioctl(fd, KVM_GET_CPUID2, cpuid.get());
    auto from = reinterpret_cast<uint8_t *>(cpuid->entries);
    all[who + "CPUID2"] = {from, from + cpuid->nent * sizeof(kvm_cpuid_entry2)};

    all[who + "TSC_KHZ"] = bytes_of(guest.ioctl(fd, KVM_GET_TSC_KHZ));
    read_one<kvm_regs>(guest, all, who + "REGS", fd, KVM_GET_REGS);
    read_one<kvm_sregs>(guest, all, who + "SREGS", fd, KVM_GET_SREGS);
    read_one<kvm_fpu>(guest, all, who + "FPU", fd, KVM_GET_FPU);
    read_one<kvm_lapic_state>(guest, all, who + "LAPIC", fd, KVM_GET_LAPIC);
    read_one<kvm_mp_state>(guest, all, who + "MP_STATE", fd, KVM_GET_MP_STATE);
    read_one<kvm_vcpu_events>(guest, all, who + "VCPU_EVENTS", fd,
                              KVM_GET_VCPU_EVENTS);
    read_one<kvm_debugregs>(guest, all, who + "DEBUGREGS", fd,
                            KVM_GET_DEBUGREGS);
    read_one<kvm_xcrs>(guest, all, who + "XCRS", fd, KVM_GET_XCRS);
    read_msrs(guest, all, who, fd);
}

} /* namespace */

Readings read_back(KvmGuest &guest)
{
    Readings all;

    read_vm(guest, all);
    for (size_t i = 0; i < guest.vcpus.size(); i++) {
        read_vcpu(guest, all, format("vCPU %zu ", i), guest.vcpus[i].fd);
    }
    return all;
}

size_t open_fds()
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}
