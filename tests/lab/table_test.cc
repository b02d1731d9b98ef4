/*
 * Each line of the table of commands, and each check in it, violated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A command is brought to where it is accepted; then one thing is made wrong,
 * and the answer must be the one that the table names. So a check that is
 * taken out of the processor's code, or comes at another place, is missed here.
 */

#include "processor.h"

#include <glib.h>

#include <cstring>
#include <functional>

extern "C" {
#include "internal.h"
}

using namespace lab;

namespace {

/* An argument with which the command is accepted. */
struct Argument {
    std::array<uint8_t, PSP_ARGUMENT_MAX> bytes{};

    template <class T> static Argument of(const T &value)
    {
        Argument argument;
        memcpy(argument.bytes.data(), &value, sizeof(value));
        return argument;
    }
    uint64_t field(const PspCheck &check) const
    {
        uint64_t value = 0;
        memcpy(&value, &bytes[check.field], check.width);
        return value;
    }
    void set(const PspCheck &check, uint64_t value)
    {
        memcpy(&bytes[check.field], &value, check.width);
    }
};

uint64_t bit_of_table(uint64_t mask)
{
    return mask & (~mask + 1);
}

class Case {
public:
    explicit Case(const PspCommand &command)
        : command_(command),
          policy_(psp_is_snp(&command) ? snp_policy : SEV_POLICY_ES)
    {}
    void take_policy(uint64_t policy) { policy_ = policy; }

    /* Everything before the command, and its argument. */
    void arrange(bool snp = false);
    PspStatus issue()
    {
        processor.host.put(argument_at, argument.bytes);
        return processor.command(command_.number);
    }
    void violate(const PspCheck &check);

    Processor processor;
    Argument argument;
    uint32_t handle = 0;

private:
    uint32_t own_asid() const
    {
        return psp_is_snp(&command_) || policy_ & SEV_POLICY_ES ? es_asid
                                                                : sev_asid;
    }
    void arrange_guest();
    void arrange_snp_guest();
    Argument valid_snp_argument() const;
    bool has_check(PspCheckKind kind) const;
    Argument valid_argument();
    void turn_snp_on();

    const PspCommand &command_;
    uint64_t policy_;
};

bool Case::has_check(PspCheckKind kind) const
{
    for (const PspCheck &check : command_.checks) {
        if (check.kind == kind) {
            return true;
        }
    }
    return false;
}

Argument Case::valid_argument()
{
    switch (command_.number) {
    case Init:
        return Argument::of(SevInit{SEV_INIT_ES, 0, tmr_at, SEV_TMR_SIZE});
    case InitEx:
        return Argument::of(SevInitEx{sizeof(SevInitEx), SEV_INIT_ES, tmr_at,
                                      SEV_TMR_SIZE, 0, buffer_at, SEV_NV_SIZE});
    case PekCsr:
    case GetId:
        return Argument::of(SevBuffer{buffer_at, 0x1000});
    case 0x0b:
        return Argument::of(SevBuffer{buffer_at, 0x1000});
    case PekCertImport:
        return Argument::of(
            SevPekCertImport{buffer_at, 0x824, 0, other_at, 0x824});
    case PdhCertExport:
        return Argument::of(
            SevPdhCertExport{buffer_at, 0x824, 0, other_at, 3 * 0x824});
    case LaunchStart: {
        SevLaunchStart start = {};
        start.policy = static_cast<uint32_t>(policy_);
        return Argument::of(start);
    }
    case Activate:
        return Argument::of(SevActivate{handle, own_asid()});
    case Copy:
        return Argument::of(SevCopy{handle, 32, guest_at, other_at});
    case LaunchUpdateData:
    case LaunchUpdateVmsa:
        return Argument::of(SevGuestBuffer{handle, 0, guest_at, 0x1000});
    case LaunchMeasure:
        return Argument::of(SevGuestBuffer{handle, 0, buffer_at, 48});
    case LaunchUpdateSecret:
        return Argument::of(SevLaunchSecret{handle, 0, buffer_at, 52, 0,
                                            guest_at, 32, 0, other_at, 32});
    case Attestation:
        return Argument::of(SevAttestation{handle, 0, buffer_at, {}, 208});
    case DbgDecrypt:
    case DbgEncrypt:
        return Argument::of(SevDebug{handle, 0, guest_at, other_at, 32});
    default:
        return Argument::of(SevHandle{handle});
    }
}

/* Pages that the host made the firmware's, as Linux does before a command. */
void Case::turn_snp_on()
{
    ASSERT_EQ(processor.command(0x81), PSP_SUCCESS);
    for (uint64_t at = 0; at < tmr_at + SEV_TMR_SIZE; at += PSP_PAGE) {
        PspRmp &page = processor.host.rmp(at);
        page.assigned = page.immutable = true;
    }
}

Argument Case::valid_snp_argument() const
{
    switch (command_.number) {
    case SnpInitializeEx:
        return Argument::of(SnpInitEx{SNP_INIT_RMP, 0, 0, {}});
    case SnpShutdownEx_:
        return Argument::of(SnpShutdownEx{sizeof(SnpShutdownEx), 1});
    case SnpGctxCreate:
    case SnpGetPlatformStatus:
    case SnpReclaim:
        return Argument::of(SnpAddress{buffer_at});
    case SnpActivate_:
        return Argument::of(SnpActivate{gctx_at, es_asid});
    case SnpGetGuestStatus:
        return Argument::of(SnpGuestStatus{gctx_at, buffer_at});
    case SnpRequest:
        return Argument::of(SnpGuestRequest{gctx_at, third_at, buffer_at});
    case SnpStart:
        return Argument::of(SnpLaunchStart{gctx_at, policy_, 0, 0, 0, {}});
    case SnpUpdate:
        return Argument::of(SnpLaunchUpdate{
            gctx_at, SNP_PAGE_NORMAL << 1, 0, guest_at, 0, {}, 0});
    case SnpDbgDecrypt:
        return Argument::of(SnpDebug{gctx_at, guest_at, buffer_at});
    case SnpDbgEncrypt:
        return Argument::of(SnpDebug{gctx_at, buffer_at, guest_at});
    case SnpSetState:
        return Argument::of(
            SnpPageSetState{sizeof(SnpPageSetState), 0, third_at});
    case SnpConfigure:
        return Argument::of(SnpConfig{PSP_TCB, 0, {}});
    case SnpCommit_:
        return Argument::of(SnpCommit{sizeof(SnpCommit)});
    case SnpFeatures:
        return Argument::of(
            SnpFeatureInfo{sizeof(SnpFeatureInfo), 0, buffer_at});
    default:
        return Argument::of(SnpAddress{gctx_at});
    }
}

void Case::arrange_guest()
{
    handle = processor.start_inactive(static_cast<uint32_t>(policy_));
    if (!has_check(PSP_CHECK_INACTIVE)) {
        ASSERT_EQ(processor.command(Activate, SevActivate{handle, own_asid()}),
                  PSP_SUCCESS);
    }
    if (command_.guests & 1u << PSP_GUEST_LUPDATE) {
        return;
    }
    processor.measure(handle);
    if (command_.guests & 1u << PSP_GUEST_RUNNING) {
        ASSERT_EQ(processor.command(LaunchFinish, SevHandle{handle}),
                  PSP_SUCCESS);
    }
}

void Case::arrange_snp_guest()
{
    processor.snp_context();
    if (command_.guests & 1u << PSP_SNP_INIT) {
        return;
    }
    ASSERT_EQ(processor.command(SnpStart,
                                SnpLaunchStart{gctx_at, policy_, 0, 0, 0, {}}),
              PSP_SUCCESS);
    if (!has_check(PSP_CHECK_INACTIVE)) {
        ASSERT_EQ(
            processor.command(SnpActivate_, SnpActivate{gctx_at, es_asid}),
            PSP_SUCCESS);
    }
    if (!(command_.guests & 1u << PSP_SNP_LAUNCH)) {
        ASSERT_EQ(processor.snp_finish(), PSP_SUCCESS);
    }
    processor.make_private(guest_at, guest_at);
}

void Case::arrange(bool snp)
{
    bool is_snp = psp_is_snp(&command_);
    if (is_snp && (snp || !(command_.states & 1u << PSP_UNINIT))) {
        processor.snp_init();
        processor.make_firmware(buffer_at);
    } else if (snp) {
        turn_snp_on();
    }
    if (!is_snp && !(command_.states & 1u << PSP_UNINIT)) {
        processor.init();
    }
    if (command_.guests) {
        is_snp ? arrange_snp_guest() : arrange_guest();
    }
    argument = is_snp ? valid_snp_argument() : valid_argument();
}

void Case::violate(const PspCheck &check)
{
    uint64_t field = argument.field(check);
    switch (check.kind) {
    case PSP_CHECK_ZERO:
        argument.set(check, field | bit_of_table(check.value));
        break;
    case PSP_CHECK_EQUAL:
        argument.set(check, field + 16);
        break;
    case PSP_CHECK_AT_LEAST:
        argument.set(check, check.value - 1);
        break;
    case PSP_CHECK_ALIGNED:
        argument.set(check, field + check.value / 2);
        break;
    case PSP_CHECK_LENGTH:
        argument.set(check, check.value - 1);
        break;
    case PSP_CHECK_RAM:
        argument.set(check, ram_size);
        break;
    case PSP_CHECK_PAGE:
        processor.host.rmp(field) = {};
        break;
    case PSP_CHECK_ACTIVE:
        if (psp_is_snp(&command_)) {
            /* There is no way back but the end of the guest. */
            processor.command(SnpDecommission, SnpAddress{gctx_at});
            processor.snp_context();
            processor.command(SnpStart,
                              SnpLaunchStart{gctx_at, policy_, 0, 0, 0, {}});
            break;
        }
        ASSERT_EQ(processor.command(Deactivate, SevHandle{handle}),
                  PSP_SUCCESS);
        break;
    case PSP_CHECK_INACTIVE:
        if (psp_is_snp(&command_)) {
            ASSERT_EQ(issue(), PSP_SUCCESS);
            break;
        }
        ASSERT_EQ(processor.command(Activate, SevActivate{handle, own_asid()}),
                  PSP_SUCCESS);
        break;
    case PSP_CHECK_ASID:
        argument.set(check, own_asid() == es_asid ? sev_asid : es_asid);
        break;
    case PSP_CHECK_ASID_FREE:
        if (psp_is_snp(&command_)) {
            processor.snp_context(gctx_at + PSP_PAGE);
            processor.command(
                SnpStart,
                SnpLaunchStart{gctx_at + PSP_PAGE, policy_, 0, 0, 0, {}});
            ASSERT_EQ(
                processor.command(SnpActivate_,
                                  SnpActivate{gctx_at + PSP_PAGE, es_asid}),
                PSP_SUCCESS);
            break;
        }
        processor.start(static_cast<uint32_t>(policy_), own_asid());
        break;
    case PSP_CHECK_FLUSHED:
        processor.host.dirty.insert(own_asid());
        break;
    case PSP_CHECK_OUTPUT:
        processor.host.rmp(field) = {};
        break;
    default:
        FAIL() << "no way to violate check " << check.kind;
    }
}

std::string name_of(const testing::TestParamInfo<PspCommand> &info)
{
    return info.param.name;
}

std::vector<PspCommand> all_commands()
{
    return {psp_commands, psp_commands + psp_command_count};
}

} // namespace

/* What googletest says of a parameter. */
static void PrintTo(const PspCommand &command, std::ostream *out)
{
    *out << command.name;
}

namespace {

class CommandTest : public testing::TestWithParam<PspCommand> {};
INSTANTIATE_TEST_SUITE_P(, CommandTest, testing::ValuesIn(all_commands()),
                         name_of);

/* Those that want more than a well-formed argument; others test them. */
bool wants_content(const PspCommand &command)
{
    return command.number == PekCertImport ||
           command.number == LaunchUpdateSecret || command.number == SnpRequest;
}

bool reachable(const PspCommand &command)
{
    constexpr unsigned moving = 1u << PSP_GUEST_SUPDATE |
                                1u << PSP_GUEST_RUPDATE;
    return !command.guests || command.guests & ~moving;
}

TEST_P(CommandTest, IsAcceptedWhereItBelongs)
{
    Case good(GetParam());
    if (!reachable(GetParam()) || wants_content(GetParam())) {
        GTEST_SUCCEED();
        return;
    }
    good.arrange();
    EXPECT_EQ(good.issue(), GetParam().execute ? PSP_SUCCESS : PSP_UNSUPPORTED);
}

TEST_P(CommandTest, IsRefusedInEachOtherStateOfThePlatform)
{
    bool snp = psp_is_snp(&GetParam());
    for (unsigned state = PSP_UNINIT; state <= PSP_WORKING; state++) {
        Processor processor;
        if (GetParam().states & 1u << state) {
            continue;
        }
        if (state != PSP_UNINIT) {
            snp ? processor.snp_init() : processor.init();
        }
        if (state == PSP_WORKING) {
            snp ? processor.snp_context() : void(processor.start_inactive(0));
        }
        EXPECT_EQ(processor.command(GetParam().number),
                  PSP_INVALID_PLATFORM_STATE)
            << "state " << state;
    }
}

TEST_P(CommandTest, IsRefusedWithAnArgumentThatIsNotInRam)
{
    Case good(GetParam());
    good.arrange();
    if (GetParam().size && reachable(GetParam())) {
        EXPECT_EQ(good.processor.command(GetParam().number, ram_size),
                  PSP_INVALID_ADDRESS);
    }
}

TEST_P(CommandTest, IsRefusedForAGuestThatIsNot)
{
    Processor processor;
    if (GetParam().finds == PSP_BY_HANDLE) {
        processor.init();
        uint32_t handle = processor.start_inactive(0);
        EXPECT_EQ(processor.command(GetParam().number, SevHandle{handle + 1}),
                  PSP_INVALID_GUEST);
    } else if (GetParam().finds == PSP_BY_GCTX) {
        processor.snp_init();
        processor.snp_context();
        EXPECT_EQ(processor.command(GetParam().number, SnpAddress{buffer_at}),
                  PSP_INVALID_GUEST);
        EXPECT_EQ(
            processor.command(GetParam().number, SnpAddress{gctx_at + 16}),
            PSP_INVALID_ADDRESS);
    }
}

/* A guest in this state; its handle. */
uint32_t bring_guest_to(Processor &processor, unsigned state)
{
    if (state >= PSP_SNP_INIT) {
        processor.snp_init();
        state == PSP_SNP_INIT ? processor.snp_context() : processor.snp_start();
        if (state == PSP_SNP_RUNNING) {
            EXPECT_EQ(processor.snp_finish(), PSP_SUCCESS);
        }
        return 0;
    }
    processor.init();
    uint32_t handle = processor.start(0, sev_asid);
    if (state >= PSP_GUEST_LSECRET) {
        processor.measure(handle);
    }
    if (state == PSP_GUEST_RUNNING) {
        processor.command(LaunchFinish, SevHandle{handle});
    }
    return handle;
}

TEST_P(CommandTest, IsRefusedInEachOtherStateOfTheGuest)
{
    bool snp = GetParam().finds == PSP_BY_GCTX;
    if (GetParam().finds == PSP_NO_GUEST) {
        return;
    }
    unsigned first = snp ? PSP_SNP_INIT : PSP_GUEST_LUPDATE;
    unsigned last = snp ? PSP_SNP_RUNNING : PSP_GUEST_RUNNING;
    for (unsigned state = first; state <= last; state++) {
        if (GetParam().guests & 1u << state) {
            continue;
        }
        Processor processor;
        uint32_t handle = bring_guest_to(processor, state);
        EXPECT_EQ(
            snp ? processor.command(GetParam().number, SnpAddress{gctx_at})
                : processor.command(GetParam().number, SevHandle{handle}),
            PSP_INVALID_GUEST_STATE)
            << "state " << state;
    }
}

TEST_P(CommandTest, AnswersEachViolatedCheckWithItsStatus)
{
    for (const PspCheck &check : GetParam().checks) {
        if (check.kind == PSP_CHECK_END || !reachable(GetParam())) {
            break;
        }
        Case bad(GetParam());
        /* A guest whose policy the check refuses, or another violation. */
        bool of_policy = check.kind == PSP_CHECK_POLICY_NO ||
                         check.kind == PSP_CHECK_POLICY;
        if (of_policy) {
            uint64_t least = psp_is_snp(&GetParam()) ? SNP_POLICY_ONE : 0;
            bad.take_policy(check.kind == PSP_CHECK_POLICY ? least
                                                           : check.value);
        }
        bad.arrange(check.kind == PSP_CHECK_OUTPUT);
        if (!of_policy) {
            bad.violate(check);
        }
        EXPECT_EQ(bad.issue(), check.status)
            << "check " << &check - GetParam().checks;
    }
}

TEST(TableTest, HasEachNumberAndNameOnce)
{
    for (size_t i = 0; i < psp_command_count; i++) {
        for (size_t k = i + 1; k < psp_command_count; k++) {
            EXPECT_LT(psp_commands[i].number, psp_commands[k].number);
            EXPECT_STRNE(psp_commands[i].name, psp_commands[k].name);
        }
    }
}

TEST(TableTest, ANumberThatIsNotInItIsAnInvalidCommand)
{
    Processor processor;
    EXPECT_EQ(processor.command(0x7f), PSP_INVALID_COMMAND);
    EXPECT_TRUE(processor.host.logged("refused"));
}

} // namespace
