// One step of the scheduler (qmgr/scheduler.h): a message comes, an entry leaves, its outcome
// returns; with few and with many destinations that have mail waiting.
#include "active_message.h"
#include "scheduler.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <deque>
#include <memory>
#include <vector>

using namespace bulkhead;

namespace
{

constexpr std::size_t backlog = 2000; // messages

std::vector<RoutedRecipient> to(std::size_t destination)
{
    const std::string domain = fmt::format("d{}.test", destination);
    RoutedRecipient routed;
    routed.recipient.address = "r@" + domain;
    routed.transport = "smtp";
    routed.nexthop = domain;
    return {std::move(routed)};
}

void scheduler_step(benchmark::State& state)
{
    const auto destinations = static_cast<std::size_t>(state.range(0));
    std::deque<ActiveMessage> messages(backlog);
    Scheduler scheduler([](const std::string&) { return TransportLimits(); });
    Moment now = 1'000'000;
    for (std::size_t i = 0; i < backlog; ++i)
        scheduler.add(messages[i], to(i % destinations), 0, now);
    std::size_t turn = 0;
    for (auto _ : state) {
        auto entry = scheduler.next(++now);
        if (!entry) {
            state.SkipWithError("nothing is ready");
            break;
        }
        ActiveMessage& message = *entry->message;
        scheduler.delivered(std::move(entry), now);
        message.jobs.clear();
        scheduler.add(message, to(++turn % destinations), 0, now);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(scheduler_step)->Arg(1)->Arg(50)->Arg(1000);

} // namespace
