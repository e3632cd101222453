#include "async/key_lock.h"

#include "async/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;

struct Scene {
    KeyLock lock;
    Scope scope;
    std::vector<std::string> events;
};

Task<> work(Scene* scene, std::string key, std::string name)
{
    const auto hold = co_await scene->lock.acquire(key);
    scene->events.push_back(name + " begins");
    co_await yield_turn();
    scene->events.push_back(name + " ends");
}

Task<> stop_when_empty(Scene* scene)
{
    co_await scene->scope.empty();
    Loop::current().stop();
}

void run(Scene& scene)
{
    Scope waiter;
    waiter.spawn(stop_when_empty, &scene);
    Loop::current().run();
}

TEST(KeyLock, WorkOnOneKeyComesInTheOrderOfAsking)
{
    Scene scene;
    for (const char* name : {"first", "second", "third"})
        scene.scope.spawn(work, &scene, std::string("key"), std::string(name));
    run(scene);
    EXPECT_THAT(scene.events, ElementsAre("first begins", "first ends", "second begins", "second ends",
                                          "third begins", "third ends"));
}

TEST(KeyLock, OtherKeysDoNotWait)
{
    Scene scene;
    scene.scope.spawn(work, &scene, std::string("a"), std::string("first"));
    scene.scope.spawn(work, &scene, std::string("b"), std::string("second"));
    run(scene);
    EXPECT_THAT(scene.events, ElementsAre("first begins", "second begins", "first ends", "second ends"));
}

TEST(KeyLock, IsFreeAgainAfterwards)
{
    Scene scene;
    scene.scope.spawn(work, &scene, std::string("a"), std::string("first"));
    run(scene);
    scene.scope.spawn(work, &scene, std::string("a"), std::string("second"));
    run(scene);
    EXPECT_EQ(scene.events.size(), 4u);
}

} // namespace
} // namespace bulkhead
