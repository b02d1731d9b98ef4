/*
 * Hooks: their order, and what happens when one fails
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "registry.h"

using namespace kvm_reset;

namespace {

class RegistryTest : public ::testing::Test {
protected:
    Registry registry;
    std::vector<std::string> log;
    std::string fails;

    Hook hook(std::string name, std::vector<std::string> after = {},
              std::vector<Phase> phases = {Phase::NewVm})
    {
        return {.name = name,
                .after = std::move(after),
                .phases = std::move(phases),
                .run = [this, name](Phase phase) -> Result<void> {
                    log.push_back(name);
                    if (name == fails) {
                        return fail(EIO, "%s in %s", name.c_str(),
                                    to_string(phase));
                    }
                    return {};
                },
                .undo = [this, name](Phase) { log.push_back("-" + name); }};
    }

    using Names = std::vector<std::string>;
};

TEST_F(RegistryTest, WithoutAWishTheOrderIsThatOfRegistration)
{
    registry.add(hook("c"));
    registry.add(hook("a"));
    registry.add(hook("b"));
    EXPECT_TRUE(registry.run(Phase::NewVm));
    EXPECT_EQ(log, (Names{"c", "a", "b"}));
}

TEST_F(RegistryTest, AHookRunsAfterThoseItNamesWhoeverCameFirst)
{
    registry.add(hook("late", {"middle"}));
    registry.add(hook("middle", {"early"}));
    registry.add(hook("other"));
    registry.add(hook("early"));
    EXPECT_TRUE(registry.run(Phase::NewVm));
    EXPECT_EQ(log, (Names{"other", "early", "middle", "late"}));
}

TEST_F(RegistryTest, ANameThatNobodyHasIsNoError)
{
    EXPECT_TRUE(registry.add(hook("a", {"nobody"})));
    EXPECT_TRUE(registry.run(Phase::NewVm));
    EXPECT_EQ(log, Names{"a"});
}

TEST_F(RegistryTest, OnlyHooksOfThePhaseRun)
{
    registry.add(hook("vm"));
    registry.add(hook("quiet", {}, {Phase::Quiesce}));
    registry.add(hook("both", {}, {Phase::Quiesce, Phase::NewVm}));
    EXPECT_TRUE(registry.run(Phase::Quiesce));
    EXPECT_EQ(log, (Names{"quiet", "both"}));
    log.clear();
    EXPECT_TRUE(registry.run(Phase::BeforeRun));
    EXPECT_TRUE(log.empty());
}

TEST_F(RegistryTest, ACycleIsRefusedAndNamed)
{
    ASSERT_TRUE(registry.add(hook("a", {"c"})));
    ASSERT_TRUE(registry.add(hook("b", {"a"})));
    Result<void> added = registry.add(hook("c", {"b"}));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ELOOP);
    EXPECT_NE(added.error().what.find("a, b, c"), std::string::npos)
        << added.error().what;
    EXPECT_EQ(registry.hooks().size(), 2u);
    EXPECT_TRUE(registry.run(Phase::NewVm));
    EXPECT_EQ(log, (Names{"a", "b"}));
}

TEST_F(RegistryTest, AHookCannotWaitForItself)
{
    Result<void> added = registry.add(hook("a", {"a"}));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ELOOP);
}

TEST_F(RegistryTest, ANameIsTakenOnce)
{
    ASSERT_TRUE(registry.add(hook("a")));
    Result<void> again = registry.add(hook("a"));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, EEXIST);
    EXPECT_TRUE(registry.run(Phase::NewVm));
    EXPECT_EQ(log, Names{"a"});
}

TEST_F(RegistryTest, AnIncompleteHookIsRefused)
{
    Hook unnamed = hook("");
    Hook idle = hook("a", {}, {});
    Hook empty = hook("b");
    empty.run = nullptr;
    for (const Hook &incomplete : {unnamed, idle, empty}) {
        Result<void> added = registry.add(incomplete);
        ASSERT_FALSE(added);
        EXPECT_EQ(added.error().code, EINVAL);
    }
}

TEST_F(RegistryTest, AFailureUndoesInReverseWhatHadRun)
{
    registry.add(hook("a"));
    registry.add(hook("not in this phase", {}, {Phase::Quiesce}));
    registry.add(hook("b"));
    registry.add(hook("c"));
    registry.add(hook("d"));
    fails = "c";
    Result<void> done = registry.run(Phase::NewVm);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EIO);
    EXPECT_NE(done.error().what.find("hook 'c' failed in phase new-vm"),
              std::string::npos)
        << done.error().what;
    EXPECT_EQ(log, (Names{"a", "b", "c", "-b", "-a"}));
}

TEST_F(RegistryTest, EveryoneHearsOfAnAbortAndNobodyIsUndone)
{
    for (const char *name : {"a", "b", "c", "d"}) {
        registry.add(hook(name, {}, {Phase::Aborted}));
    }
    registry.add(hook("not in this phase"));
    EXPECT_TRUE(registry.tell_aborted());
    EXPECT_EQ(log, (Names{"a", "b", "c", "d"}));

    for (const char *failing : {"a", "d"}) {
        log.clear();
        fails = failing;
        EXPECT_FALSE(registry.tell_aborted());
        EXPECT_EQ(log, (Names{"a", "b", "c", "d"}));
    }
}

TEST_F(RegistryTest, AllThatFailAtAnAbortAreNamed)
{
    for (const char *name : {"a", "b", "c"}) {
        Hook failing = hook(name, {}, {Phase::Aborted});
        failing.run = [name](Phase) -> Result<void> {
            if (*name == 'b') {
                return {};
            }
            return refuse(EIO, "%s is on fire", name);
        };
        registry.add(failing);
    }
    Result<void> told = registry.tell_aborted();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().what,
              "hook 'a' failed in phase aborted: a is on fire; "
              "hook 'c' failed in phase aborted: c is on fire");
}

TEST_F(RegistryTest, AHookThatIsRemovedRunsNoMore)
{
    Hook owned = hook("a");
    owned.owner = this;
    registry.add(owned);
    registry.add(hook("b", {"a"}));
    EXPECT_TRUE(registry.remove_owned(this));
    EXPECT_FALSE(registry.remove_owned(this));
    EXPECT_TRUE(registry.run(Phase::NewVm));
    EXPECT_EQ(log, Names{"b"});
}

TEST_F(RegistryTest, AHookIsToldWhetherTheGuestIsPreserved)
{
    std::vector<bool> told;
    auto asks = [&](Phase) { told.push_back(registry.preserving()); };
    registry.add({.name = "asks",
                  .phases = {Phase::Quiesce, Phase::Aborted},
                  .preserves = true,
                  .run = [&](Phase phase) -> Result<void> {
                      asks(phase);
                      return {};
                  },
                  .undo = asks});
    for (bool preserving : {true, false}) {
        ASSERT_TRUE(registry.run(Phase::Quiesce, preserving));
        registry.undo(Phase::Quiesce, preserving);
        ASSERT_TRUE(registry.tell_aborted(preserving));
    }
    EXPECT_EQ(told, (std::vector{true, true, true, false, false, false}));
}

TEST_F(RegistryTest, AHookWithoutAnUndoIsSkippedThere)
{
    Hook careless = hook("a");
    careless.undo = nullptr;
    registry.add(careless);
    registry.add(hook("b"));
    registry.undo(Phase::NewVm);
    EXPECT_EQ(log, Names{"-b"});
}

} /* namespace */
