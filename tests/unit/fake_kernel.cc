/*
 * A kernel without KVM, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_kernel.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ostream>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fake_coco.h"
#include "kvm_abi.h"

struct FakeKernel::Vm {
    std::vector<IssuedIoctl> ioctls;
    std::map<std::string, uint64_t> made; /* roles, by first use */
    std::set<uint64_t> vcpus;
    std::set<uint32_t> slots;
    std::set<std::pair<uint64_t, uint32_t>> irqfds;
    std::set<std::vector<uint64_t>> ioeventfds;
    std::set<uint64_t> vfio_files;
    FakeCoco coco;
    FakeState state;
    bool irqchip = false, vfio = false;
    unsigned memfds = 0;
};

struct FakeKernel::File {
    std::string name; /* as /proc/self/fd shows it */
    std::string role; /* within its VM */
    uint64_t serial;
    std::shared_ptr<Vm> vm;
    std::vector<uint8_t> memory{};
};

void PrintTo(const IssuedIoctl &issued, std::ostream *out)
{
    char text[32];

    snprintf(text, sizeof(text), " %#x(%#llx)", issued.request,
             (unsigned long long)issued.value);
    *out << issued.on << text;
    auto dump = [&](const std::vector<uint8_t> &bytes) {
        *out << " [";
        for (uint8_t byte : bytes) {
            snprintf(text, sizeof(text), "%02x", byte);
            *out << text;
        }
        *out << "]";
    };
    dump(issued.bytes);
    std::ranges::for_each(issued.pointed, dump);
}

FakeKernel::FakeKernel() = default;
FakeKernel::~FakeKernel() = default;

/* --- Failing on demand ---------------------------------------------------- */

void FakeKernel::fail(unsigned nth, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {.countdown = nth, .code = code};
}

void FakeKernel::fail(Call call, unsigned nth, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {.of_call = true, .call = call, .countdown = nth, .code = code};
}

void FakeKernel::fail(uint32_t request, unsigned nth, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {
        .of_request = true, .request = request, .countdown = nth, .code = code};
}

void FakeKernel::fail_always(uint32_t request, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {.of_request = true,
                .always = true,
                .request = request,
                .countdown = 1,
                .code = code};
}

void FakeKernel::fail_nothing()
{
    std::unique_lock lock(mutex_);
    failure_ = {};
}

bool FakeKernel::failed() const
{
    std::unique_lock lock(mutex_);
    return failed_;
}

unsigned FakeKernel::calls() const
{
    std::unique_lock lock(mutex_);
    return calls_;
}

/* 0, or the errno that this call has to fail with. */
int FakeKernel::refused(Call call, uint32_t request)
{
    calls_++;
    if (!failure_.countdown || (failure_.of_call && failure_.call != call) ||
        (failure_.of_request && failure_.request != request)) {
        return 0;
    }
    if (failure_.always) {
        failed_ = true;
        return failure_.code;
    }
    if (--failure_.countdown) {
        return 0;
    }
    failed_ = true;
    return failure_.code;
}

/* --- Files ---------------------------------------------------------------- */

int FakeKernel::lowest() const
{
    int fd = 3;

    while (fds_.contains(fd)) {
        fd++;
    }
    return fd;
}

int FakeKernel::install(FilePtr file)
{
    int fd = lowest();

    if (fd >= fd_limit) {
        release(std::move(file));
        return -EMFILE;
    }
    fds_[fd] = std::move(file);
    return fd;
}

FakeKernel::FilePtr FakeKernel::make(const char *name, std::shared_ptr<Vm> vm,
                                     std::string role)
{
    return std::make_shared<File>(
        File{name, std::move(role), serial_++, std::move(vm)});
}

FakeKernel::FilePtr FakeKernel::find(int fd) const
{
    auto found = fds_.find(fd);

    return found == fds_.end() ? nullptr : found->second;
}

/* What happens when the last fd and mapping of a file goes. */
void FakeKernel::release(FilePtr file)
{
    if (!file || file.use_count() > 1) {
        return;
    }
    std::erase_if(watches_,
                  [&](auto &watch) { return watch.second == file->serial; });
    for (auto &vm : living()) {
        std::erase_if(vm->irqfds,
                      [&](auto &irqfd) { return irqfd.first == file->serial; });
    }
}

std::vector<std::shared_ptr<FakeKernel::Vm>> FakeKernel::living() const
{
    std::vector<std::shared_ptr<Vm>> alive;

    for (auto &weak : vms_) {
        if (auto vm = weak.lock()) {
            alive.push_back(std::move(vm));
        }
    }
    return alive;
}

int FakeKernel::open_kvm()
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Open)) {
        return -code;
    }
    return install(make("/dev/kvm", nullptr, "kvm"));
}

int FakeKernel::placeholder()
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Open)) {
        return -code;
    }
    return install(make("anon_inode:[eventfd]", nullptr, "placeholder"));
}

int FakeKernel::eventfd()
{
    std::unique_lock lock(mutex_);
    return install(make("anon_inode:[eventfd]", nullptr, "eventfd"));
}

int FakeKernel::file(const std::string &name)
{
    std::unique_lock lock(mutex_);
    return install(make(name.c_str(), nullptr, "file"));
}

int FakeKernel::dup(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);
    if (int code = refused(Call::Dup)) {
        return -code;
    }
    return file ? install(file) : -EBADF;
}

int FakeKernel::dup_onto(int from, int onto)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::DupOnto)) {
        return -code;
    }
    if (busy_numbers.contains(onto)) {
        return -EBUSY;
    }
    FilePtr file = find(from);
    if (!file || onto < 0) {
        return -EBADF;
    }
    if (from == onto) {
        return -EINVAL;
    }
    FilePtr old = std::exchange(fds_[onto], file);
    release(std::move(old));
    return onto;
}

int FakeKernel::close(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    if (!file) {
        return -EBADF;
    }
    fds_.erase(fd);
    release(std::move(file));
    return 0;
}

std::string FakeKernel::describe(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file ? file->name : "";
}

int FakeKernel::mmap(void *addr, size_t length, int, int flags, int fd, int64_t,
                     void **mapping)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Mmap)) {
        /* As Linux may: what was there at a fixed address is gone. */
        if (flags & MAP_FIXED) {
            mappings_.erase(uintptr_t(addr));
        }
        return -code;
    }
    FilePtr file = find(fd);
    if (!file && !(flags & MAP_ANONYMOUS)) {
        return -EBADF;
    }
    uintptr_t at = uintptr_t(addr);
    if (!(flags & MAP_FIXED)) {
        at = next_address_;
        next_address_ += (length + 0xfff) & ~uintptr_t(0xfff);
    }
    FilePtr old = std::exchange(mappings_[at], {length, file}).file;
    release(std::move(old));
    *mapping = reinterpret_cast<void *>(at);
    return 0;
}

int FakeKernel::munmap(void *addr, size_t)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Munmap)) {
        return -code;
    }
    auto found = mappings_.find(uintptr_t(addr));
    if (found != mappings_.end()) {
        FilePtr file = found->second.file;
        mappings_.erase(found);
        release(std::move(file));
    }
    return 0;
}

uint8_t *FakeKernel::behind(uint64_t address, size_t length)
{
    for (auto &[start, mapped] : mappings_) {
        if (start <= address && address + length <= start + mapped.length) {
            auto &memory = mapped.file ? mapped.file->memory : mapped.memory;
            memory.resize(mapped.length);
            return memory.data() + (address - start);
        }
    }
    return nullptr;
}

int FakeKernel::ring(int eventfd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(eventfd);

    if (!file) {
        return -EBADF;
    }
    rung_.push_back(file->serial);
    return 0;
}

FakeState::Values FakeKernel::state(int fd) const
{
    std::unique_lock lock(mutex_);
    return find(fd)->vm->state.values();
}

int FakeKernel::read_memory(uint64_t address, std::span<uint8_t> bytes)
{
    {
        std::unique_lock lock(mutex_);
        if (uint8_t *from = behind(address, bytes.size())) {
            memcpy(bytes.data(), from, bytes.size());
            return 0;
        }
    }
    iovec here{bytes.data(), bytes.size()};
    iovec there{reinterpret_cast<void *>(address), bytes.size()};

    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) ==
                   ssize_t(bytes.size())
             ? 0
             : -EFAULT;
}

int FakeKernel::write_memory(uint64_t address, std::span<const uint8_t> bytes)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::WriteMemory)) {
        return -code;
    }
    uint8_t *to = behind(address, bytes.size());
    memcpy(to ? to : reinterpret_cast<uint8_t *>(address), bytes.data(),
           bytes.size());
    return 0;
}

int FakeKernel::watch(int fd)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Watch)) {
        return -code;
    }
    FilePtr file = find(fd);
    if (!file) {
        return -EBADF;
    }
    return watches_.insert({fd, file->serial}).second ? 0 : -EEXIST;
}

bool FakeKernel::watched(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && watches_.contains({fd, file->serial});
}

uint64_t FakeKernel::now()
{
    std::unique_lock lock(mutex_);
    return clock_ += 1000;
}

/* --- What a call says ----------------------------------------------------- */

static uint64_t field(uintptr_t arg, size_t offset, size_t width)
{
    uint64_t value = 0;

    memcpy(&value, reinterpret_cast<const uint8_t *>(arg) + offset, width);
    return value;
}

/* A number for the file behind @fd that is the same in every VM. */
uint64_t FakeKernel::named(uint32_t fd) const
{
    FilePtr file = find(int(fd));

    if (!file) {
        return 0xbadf;
    }
    if (!file->vm) {
        return file->serial;
    }
    uint64_t name = 0xe000;
    for (unsigned char c : file->role) {
        name = name * 31 + c;
    }
    return name & 0x7fffffff;
}

/* Requests whose argument is a number, by the class of fd. */
static bool is_value(const std::string &role, uint32_t request)
{
    using namespace uapi;

    return request == create_vm || request == create_vcpu ||
           request == check_extension || request == set_tss_addr ||
           request == set_tsc_khz || request == plain(0x44) ||
           (request == plain(0x78) && role == "vm");
}

static bool in_vcpu(const std::string &role)
{
    return role.starts_with("vcpu");
}

IssuedIoctl FakeKernel::describe_call(const File &file, uint32_t request,
                                      uintptr_t arg)
{
    using namespace uapi;
    IssuedIoctl issued{.on = file.role, .request = request};
    size_t size = (request >> 16) & 0x3fff;

    if (is_value(file.role, request)) {
        issued.value = arg;
        return issued;
    }
    if (request == reinject_control) {
        size = 32;
    } else if (request == memory_encrypt_op) {
        size = 24;
    }
    if (!size || !arg) {
        return issued;
    }

    struct {
        uint32_t request;
        size_t count_at, element;
    } tails[] = {
        {set_gsi_routing, 0, 48}, {set_msrs, 0, 16},
        {set_cpuid, 0, 24},       {set_cpuid2, 0, 40},
        {set_signal_mask, 0, 1},  {set_pmu_event_filter, 4, 8},
    };
    for (auto &tail : tails) {
        if (tail.request == request) {
            size += field(arg, tail.count_at, 4) * tail.element;
        }
    }
    auto from = reinterpret_cast<const uint8_t *>(arg);
    issued.bytes.assign(from, from + size);

    auto follow = [&](size_t offset, size_t length) {
        auto address = reinterpret_cast<const uint8_t *>(field(arg, offset, 8));
        memset(issued.bytes.data() + offset, 0, 8);
        if (address && length) {
            issued.pointed.emplace_back(address, address + length);
        }
    };
    auto name_fd = [&](std::vector<uint8_t> &bytes, size_t offset) {
        uint32_t fd;
        memcpy(&fd, bytes.data() + offset, 4);
        fd = uint32_t(named(fd));
        memcpy(bytes.data() + offset, &fd, 4);
    };

    if (request == set_msr_filter) {
        for (size_t at = 8; at < 392; at += 24) {
            follow(at + 16, (field(arg, at + 4, 4) + 63) / 64 * 8);
        }
    } else if (request == set_device_attr) {
        follow(16, 4);
        if (!issued.pointed.empty()) {
            name_fd(issued.pointed[0], 0);
        }
    } else if (request == set_one_reg) {
        follow(8, 8);
    } else if (request == enable_cap) {
        if (in_vcpu(file.role) && field(arg, 0, 4) == 163) {
            follow(8, 2);
        } else if (field(arg, 0, 4) == 196) {
            name_fd(issued.bytes, 8);
        }
    } else if (request == uapi::irqfd) {
        name_fd(issued.bytes, 0);
        if (field(arg, 8, 4) & irqfd_resample) {
            name_fd(issued.bytes, 12);
        }
    } else if (request == uapi::ioeventfd) {
        name_fd(issued.bytes, 20);
    } else if (request == set_user_memory_region2) {
        if (field(arg, 4, 4) & mem_guest_memfd) {
            name_fd(issued.bytes, 40);
        }
    } else if (request == hyperv_eventfd && !(field(arg, 8, 4) & 1)) {
        name_fd(issued.bytes, 4);
    } else if (request == uapi::create_device) {
        memset(issued.bytes.data() + 4, 0, 4);
    }
    return issued;
}

/* --- KVM ------------------------------------------------------------------ */

int FakeKernel::ioctl(int fd, uint32_t request, uintptr_t arg)
{
    if (before_ioctl) {
        before_ioctl(fd, request);
    }
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Ioctl, request)) {
        return -code;
    }
    FilePtr file = find(fd);
    if (!file) {
        return -EBADF;
    }
    if (file->role != "kvm" && !file->vm) {
        return -ENOTTY;
    }
    if (!arg && ((request >> 16) & 0x3fff) &&
        request != uapi::set_signal_mask) {
        return -EFAULT;
    }

    IssuedIoctl issued;
    if (remembers) {
        issued = describe_call(*file, request, arg);
    }
    int ret = perform(*file, request, arg);
    if (ret >= 0 && remembers) {
        times_[request]++;
        std::shared_ptr<Vm> vm = file->vm;
        if (request == uapi::create_vm && file->role == "kvm") {
            vm = find(ret)->vm;
        }
        if (vm) {
            vm->ioctls.push_back(std::move(issued));
        }
    }
    return ret;
}

int FakeKernel::perform(File &file, uint32_t request, uintptr_t arg)
{
    if (file.role == "kvm") {
        return on_system(request, arg);
    }
    if (keeps_state && (file.role == "vm" || in_vcpu(file.role))) {
        auto ret = file.vm->state.ioctl(file.role, request, arg);
        if (ret) {
            return *ret;
        }
    }
    if (file.role == "vm") {
        return on_vm(file.vm, request, arg);
    } else if (file.role.starts_with("device")) {
        return on_device(*file.vm, request, arg);
    } else if (!in_vcpu(file.role)) {
        return -ENOTTY;
    } else if (request == uapi::memory_encrypt_op) {
        file.vm->coco.most_pages = most_pages;
        return file.vm->coco.command(file.role, arg);
    } else if (request == uapi::set_regs) {
        return file.vm->coco.set_regs(file.role, arg);
    } else if (request == uapi::set_msrs) {
        return std::min<int>(field(arg, 0, 4), takes_msrs);
    } else if (request == uapi::get_stats_fd) {
        return install(
            make("anon_inode:kvm-vcpu-stats:0", file.vm, file.role + " stats"));
    }
    return 0;
}

int FakeKernel::on_system(uint32_t request, uintptr_t arg)
{
    if (request == uapi::create_vm) {
        auto vm = std::make_shared<Vm>();
        vms_.push_back(vm);
        vm->coco.vm_type = arg;
        vm->coco.key = uint8_t(serial_ % 255 + 1);
        return install(make("anon_inode:kvm-vm", vm, "vm"));
    }
    if (request == 0xc008ae05) { /* KVM_GET_SUPPORTED_CPUID */
        return list_cpuid(arg);
    }
    if (request == uapi::check_extension) {
        return !lacks_caps.contains(arg);
    }
    if (request == 0xc004ae02) { /* KVM_GET_MSR_INDEX_LIST */
        std::vector<uint32_t> all = fake_registers();
        std::erase_if(all, [this](uint32_t index) {
            return lacks_registers.contains(index);
        });
        auto list = reinterpret_cast<uint32_t *>(arg);
        uint32_t room = std::exchange(*list, all.size());
        if (room < all.size()) {
            return -E2BIG;
        }
        std::ranges::copy(all, list + 1);
        return 0;
    }
    if (request == uapi::get_msr_feature_index_list) {
        auto list = reinterpret_cast<uint32_t *>(arg);
        uint32_t room = std::exchange(*list, feature_msrs.size());
        if (room < feature_msrs.size()) {
            return -E2BIG;
        }
        std::ranges::copy(feature_msrs, list + 1);
        return 0;
    }
    return 0;
}

int FakeKernel::list_cpuid(uintptr_t arg)
{
    auto words = reinterpret_cast<uint32_t *>(arg);

    if (*words < supported_cpuid.size()) {
        return -E2BIG;
    }
    *words = supported_cpuid.size();
    words += 2;
    for (auto &[where, value] : supported_cpuid) {
        words[0] = where.first;
        words[3 + where.second] = value;
        words += 10;
    }
    return 0;
}

int FakeKernel::on_vm(std::shared_ptr<Vm> vm, uint32_t request, uintptr_t arg)
{
    using namespace uapi;

    switch (request) {
    case uapi::check_extension:
        return keeps_state;
    case uapi::create_vcpu: {
        if (!vm->vcpus.insert(arg).second) {
            return -EEXIST;
        }
        std::string id = std::to_string(arg);
        vm->coco.vcpus.insert("vcpu " + id);
        return install(
            make(("anon_inode:kvm-vcpu:" + id).c_str(), vm, "vcpu " + id));
    }
    case uapi::create_irqchip:
        if (vm->irqchip) {
            return -EEXIST;
        }
        if (!vm->vcpus.empty()) {
            return -EINVAL;
        }
        vm->irqchip = true;
        return 0;
    case uapi::irqfd:
        return assign_irqfd(*vm, arg);
    case uapi::ioeventfd:
        return assign_ioeventfd(*vm, arg);
    case set_user_memory_region:
    case set_user_memory_region2:
        return set_slot(*vm, request, arg);
    case uapi::create_device:
        return create_device(vm, arg);
    case uapi::create_guest_memfd: {
        std::string role = "memfd " + std::to_string(vm->memfds++);
        return install(make("anon_inode:[kvm-gmem]", vm, role));
    }
    case get_stats_fd:
        return install(make("anon_inode:kvm-vm-stats", vm, "vm stats"));
    case uapi::set_memory_attributes:
        return vm->coco.set_attributes(arg);
    case uapi::memory_encrypt_op:
        vm->coco.most_pages = most_pages;
        vm->coco.free_asid = size_t(
                                 std::ranges::count_if(living(), [](auto &any) {
                                     return any->coco.has_asid;
                                 })) < asids;
        return vm->coco.command("vm", arg);
    case uapi::run:
        return -ENOTTY;
    default:
        return 0;
    }
}

int FakeKernel::assign_irqfd(Vm &vm, uintptr_t arg)
{
    FilePtr file = find(int(field(arg, 0, 4)));
    uint32_t gsi = field(arg, 4, 4);
    uint32_t flags = field(arg, 8, 4);

    if (!file) {
        return -EBADF;
    }
    if (file->role != "eventfd") {
        return -EINVAL;
    }
    if (flags & uapi::irqfd_deassign) {
        vm.irqfds.erase({file->serial, gsi});
        return 0;
    }
    if (flags & uapi::irqfd_resample && !find(int(field(arg, 12, 4)))) {
        return -EBADF;
    }
    for (auto &any : living()) {
        for (auto &[taken, other_gsi] : any->irqfds) {
            if (taken == file->serial) {
                return -EBUSY;
            }
        }
    }
    vm.irqfds.insert({file->serial, gsi});
    return 0;
}

int FakeKernel::assign_ioeventfd(Vm &vm, uintptr_t arg)
{
    FilePtr file = find(int(field(arg, 20, 4)));
    uint64_t flags = field(arg, 24, 4);
    bool deassign = flags & uapi::ioeventfd_deassign;

    if (!file) {
        return -EBADF;
    }
    std::vector<uint64_t> key = {field(arg, 8, 8), field(arg, 16, 4),
                                 flags & ~uint64_t(uapi::ioeventfd_deassign),
                                 field(arg, 0, 8)};
    if (deassign) {
        return vm.ioeventfds.erase(key) ? 0 : -ENOENT;
    }
    return vm.ioeventfds.insert(key).second ? 0 : -EEXIST;
}

int FakeKernel::set_slot(Vm &vm, uint32_t request, uintptr_t arg)
{
    uint32_t slot = field(arg, 0, 4);

    if (field(arg, 16, 8) == 0) {
        return vm.slots.erase(slot) ? 0 : -EINVAL;
    }
    if (request == uapi::set_user_memory_region2 &&
        field(arg, 4, 4) & uapi::mem_guest_memfd) {
        FilePtr memfd = find(int(field(arg, 40, 4)));
        if (!memfd) {
            return -EBADF;
        }
        if (memfd->vm.get() != &vm || !memfd->role.starts_with("memfd")) {
            return -EINVAL;
        }
    }
    vm.slots.insert(slot);
    return 0;
}

int FakeKernel::create_device(std::shared_ptr<Vm> vm, uintptr_t arg)
{
    if (field(arg, 8, 4) & 1) {
        return 0;
    }
    if (std::exchange(vm->vfio, true)) {
        return -EBUSY;
    }
    int fd = install(make("anon_inode:kvm-vfio", vm, "device 0"));
    if (fd < 0) {
        return fd;
    }
    memcpy(reinterpret_cast<uint8_t *>(arg) + 4, &fd, 4);
    return 0;
}

int FakeKernel::on_device(Vm &vm, uint32_t request, uintptr_t arg)
{
    return request == uapi::set_device_attr ? change_vfio(vm, arg) : 0;
}

int FakeKernel::change_vfio(Vm &vm, uintptr_t arg)
{
    uintptr_t at = field(arg, 16, 8);
    if (field(arg, 4, 4) != 1 || !at) {
        return -ENXIO;
    }
    FilePtr file = find(int(field(at, 0, 4)));
    if (!file) {
        return -EBADF;
    }
    if (field(arg, 8, 8) == 2) {
        return vm.vfio_files.erase(file->serial) ? 0 : -ENOENT;
    }
    for (auto &any : living()) {
        if (any->vfio_files.contains(file->serial)) {
            return -EBUSY;
        }
    }
    vm.vfio_files.insert(file->serial);
    return 0;
}

/* --- What a test may ask -------------------------------------------------- */

std::vector<IssuedIoctl> FakeKernel::ioctls(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && file->vm ? file->vm->ioctls : std::vector<IssuedIoctl>();
}

std::vector<IssuedIoctl> FakeKernel::ioctls(int fd, uint32_t request) const
{
    std::vector<IssuedIoctl> some = ioctls(fd);

    std::erase_if(some, [request](const IssuedIoctl &issued) {
        return issued.request != request;
    });
    return some;
}

std::vector<std::string> FakeKernel::launched(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && file->vm ? file->vm->coco.log : std::vector<std::string>();
}

std::set<std::pair<uint64_t, uint32_t>> FakeKernel::irqfds(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && file->vm ? file->vm->irqfds
                            : std::set<std::pair<uint64_t, uint32_t>>();
}

size_t FakeKernel::times(uint32_t request) const
{
    std::unique_lock lock(mutex_);
    auto found = times_.find(request);

    return found == times_.end() ? 0 : found->second;
}

uint64_t FakeKernel::file_at(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file ? file->serial : 0;
}

std::map<int, uint64_t> FakeKernel::fds() const
{
    std::unique_lock lock(mutex_);
    std::map<int, uint64_t> all;

    for (auto &[fd, file] : fds_) {
        all[fd] = file->serial;
    }
    return all;
}

std::map<uintptr_t, uint64_t> FakeKernel::mappings() const
{
    std::unique_lock lock(mutex_);
    std::map<uintptr_t, uint64_t> all;

    for (auto &[address, mapped] : mappings_) {
        all[address] = mapped.file ? mapped.file->serial : 0;
    }
    return all;
}

size_t FakeKernel::vms() const
{
    std::unique_lock lock(mutex_);
    return living().size();
}

size_t FakeKernel::watches() const
{
    std::unique_lock lock(mutex_);
    return watches_.size();
}
