/*
 * Each line of the table of SEV's commands, and each check in it, violated
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
    explicit Case(const PspCommand &command, uint32_t policy = SEV_POLICY_ES)
        : command_(command), policy_(policy)
    {}

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
        return policy_ & SEV_POLICY_ES ? es_asid : sev_asid;
    }
    bool has_check(PspCheckKind kind) const;
    Argument valid_argument();
    void turn_snp_on();

    const PspCommand &command_;
    uint32_t policy_;
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
        start.policy = policy_;
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

void Case::arrange(bool snp)
{
    if (snp) {
        turn_snp_on();
    }
    if (!(command_.states & 1u << PSP_UNINIT)) {
        processor.init();
    }
    if (command_.guests) {
        handle = processor.start_inactive(policy_);
        if (!has_check(PSP_CHECK_INACTIVE)) {
            ASSERT_EQ(
                processor.command(Activate, SevActivate{handle, own_asid()}),
                PSP_SUCCESS);
        }
        if (!(command_.guests & 1u << PSP_GUEST_LUPDATE)) {
            processor.measure(handle);
            if (command_.guests & 1u << PSP_GUEST_RUNNING) {
                ASSERT_EQ(processor.command(LaunchFinish, SevHandle{handle}),
                          PSP_SUCCESS);
            }
        }
    }
    argument = valid_argument();
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
    case PSP_CHECK_ACTIVE:
        ASSERT_EQ(processor.command(Deactivate, SevHandle{handle}),
                  PSP_SUCCESS);
        break;
    case PSP_CHECK_INACTIVE:
        ASSERT_EQ(processor.command(Activate, SevActivate{handle, own_asid()}),
                  PSP_SUCCESS);
        break;
    case PSP_CHECK_ASID:
        argument.set(check, policy_ & SEV_POLICY_ES ? sev_asid : es_asid);
        break;
    case PSP_CHECK_ASID_FREE:
        processor.start(policy_, own_asid());
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

std::vector<PspCommand> sev_commands()
{
    std::vector<PspCommand> commands;
    for (size_t i = 0; i < psp_command_count; i++) {
        if (psp_commands[i].number < 0x80) {
            commands.push_back(psp_commands[i]);
        }
    }
    return commands;
}

} // namespace

/* What googletest says of a parameter. */
static void PrintTo(const PspCommand &command, std::ostream *out)
{
    *out << command.name;
}

namespace {

class SevCommandTest : public testing::TestWithParam<PspCommand> {};
INSTANTIATE_TEST_SUITE_P(, SevCommandTest, testing::ValuesIn(sev_commands()),
                         name_of);

/* Those that want more than a well-formed argument; others test them. */
bool wants_content(const PspCommand &command)
{
    return command.number == PekCertImport ||
           command.number == LaunchUpdateSecret;
}

bool reachable(const PspCommand &command)
{
    constexpr unsigned moving = 1u << PSP_GUEST_SUPDATE |
                                1u << PSP_GUEST_RUPDATE;
    return !command.guests || command.guests & ~moving;
}

TEST_P(SevCommandTest, IsAcceptedWhereItBelongs)
{
    Case good(GetParam());
    if (!reachable(GetParam()) || wants_content(GetParam())) {
        GTEST_SUCCEED();
        return;
    }
    good.arrange();
    EXPECT_EQ(good.issue(), GetParam().execute ? PSP_SUCCESS : PSP_UNSUPPORTED);
}

TEST_P(SevCommandTest, IsRefusedInEachOtherStateOfThePlatform)
{
    for (unsigned state = PSP_UNINIT; state <= PSP_WORKING; state++) {
        Processor processor;
        if (GetParam().states & 1u << state) {
            continue;
        }
        if (state != PSP_UNINIT) {
            processor.init();
        }
        if (state == PSP_WORKING) {
            processor.start_inactive(0);
        }
        EXPECT_EQ(processor.command(GetParam().number),
                  PSP_INVALID_PLATFORM_STATE)
            << "state " << state;
    }
}

TEST_P(SevCommandTest, IsRefusedWithAnArgumentThatIsNotInRam)
{
    Case good(GetParam());
    good.arrange();
    if (GetParam().size && reachable(GetParam())) {
        EXPECT_EQ(good.processor.command(GetParam().number, ram_size),
                  PSP_INVALID_ADDRESS);
    }
}

TEST_P(SevCommandTest, IsRefusedForAGuestThatIsNot)
{
    if (GetParam().finds != PSP_BY_HANDLE) {
        return;
    }
    Processor processor;
    processor.init();
    uint32_t handle = processor.start_inactive(0);
    EXPECT_EQ(processor.command(GetParam().number, SevHandle{handle + 1}),
              PSP_INVALID_GUEST);
}

TEST_P(SevCommandTest, IsRefusedInEachOtherStateOfTheGuest)
{
    if (GetParam().finds != PSP_BY_HANDLE) {
        return;
    }
    for (unsigned state = PSP_GUEST_LUPDATE; state <= PSP_GUEST_RUNNING;
         state++) {
        if (GetParam().guests & 1u << state) {
            continue;
        }
        Processor processor;
        processor.init();
        uint32_t handle = processor.start(0, sev_asid);
        if (state >= PSP_GUEST_LSECRET) {
            processor.measure(handle);
        }
        if (state == PSP_GUEST_RUNNING) {
            processor.command(LaunchFinish, SevHandle{handle});
        }
        EXPECT_EQ(processor.command(GetParam().number, SevHandle{handle}),
                  PSP_INVALID_GUEST_STATE)
            << "state " << state;
    }
}

TEST_P(SevCommandTest, AnswersEachViolatedCheckWithItsStatus)
{
    for (const PspCheck &check : GetParam().checks) {
        if (check.kind == PSP_CHECK_END || !reachable(GetParam())) {
            break;
        }
        /* The guest is one that the check lets pass, or the opposite. */
        uint32_t policy = check.kind == PSP_CHECK_POLICY_NO
                            ? static_cast<uint32_t>(check.value)
                        : check.kind == PSP_CHECK_POLICY ? 0
                                                         : SEV_POLICY_ES;
        Case bad(GetParam(), policy);
        bad.arrange(check.kind == PSP_CHECK_OUTPUT);
        if (check.kind != PSP_CHECK_POLICY_NO &&
            check.kind != PSP_CHECK_POLICY) {
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
