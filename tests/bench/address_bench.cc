// Addresses: the paths of MAIL and RCPT (mail/address.h), and the lists of From: and To:
// (mail/addrlist.h).
#include "mail/address.h"
#include "mail/addrlist.h"

#include <benchmark/benchmark.h>

#include <string_view>

using namespace bulkhead;

namespace
{

void parse_paths(benchmark::State& state, std::string_view text)
{
    const PathOptions options;
    for (auto _ : state)
        benchmark::DoNotOptimize(parse_path(text, options));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(parse_paths, plain, "<recipient@mail.example.com>");
BENCHMARK_CAPTURE(parse_paths, quoted, "<\"a recipient\"@mail.example.com>");
BENCHMARK_CAPTURE(parse_paths, literal, "<recipient@[IPv6:2001:db8::1]>");

void external_forms(benchmark::State& state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(external_form("first.last+tag@mail.example.com"));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(external_forms);

void parse_lists(benchmark::State& state)
{
    constexpr std::string_view text =
        "A Person <a@example.com>, \"B, Person\" <b@example.com>, c@example.com (C),\r\n d@example.com";
    for (auto _ : state)
        benchmark::DoNotOptimize(parse_address_list(text));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(parse_lists);

} // namespace
